/** Step 9: opens the gates after the commit, and looks what became of the restore. */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LiveDestinationDependencies } from './dependencies.ts'
import { isLayerWaiting, placeLayer } from './layers.ts'
import { lazyState } from './lazy-pages.ts'
import { isAlive, restorers } from './restorers.ts'
import { putBack, type TakenRoot, takenRoot, takeOff } from './root.ts'
import { answer, containerFolder, isWhole, readOutcome, readWaiting, textOf, usedAt } from './staging.ts'
import type { RestoreView } from './verdict.ts'

type Dependencies = Pick<LiveDestinationDependencies, 'jobs' | 'node' | 'mounts' | 'runtimeRoot'>

const POLL_MS = 5
/** What CRIU writes last when all processes run. */
const FINISHED = 'Restore finished successfully'

export async function lookAtRestore(
  hostRoot: string,
  { jobs }: Pick<Dependencies, 'jobs'>,
  podUID: string,
  name: string,
): Promise<RestoreView> {
  const folder = containerFolder(podUID, name)
  // In this order: what happens in between is then seen as not over yet, never as lost.
  const [waiting, root] = await Promise.all([
    readWaiting(hostRoot, podUID, name),
    takenRoot({ hostRoot, podUID, container: name }),
  ])
  const alive = waiting !== undefined && (await isAlive(hostRoot, waiting))
  const used = await usedAt(hostRoot, podUID, name)
  // Only then it takes a walk through all processes: runc may go on when its wrapper was killed.
  const goesOn = alive || (used !== undefined && (await restorers(hostRoot, folder)).length > 0)
  const lazy = (await isWhole(hostRoot, podUID, name)) ? undefined : await lazyState({ hostRoot, jobs, folder })
  const outcome = await readOutcome(hostRoot, podUID, name)
  const finished = outcome?.restored === true && (await textOf(restoreLog(hostRoot, podUID, name))).includes(FINISHED)
  return {
    name,
    stagedFor: root?.containerID,
    waitingID: waiting?.containerID,
    alive: goesOn,
    usedAt: used,
    outcome,
    finished,
    lazy,
  }
}

/** Resolves when a wrapper has come or has said how its restore ended, or the time is over. */
export async function awaitOutcome(
  hostRoot: string,
  podUID: string,
  views: readonly RestoreView[],
  timeoutMs: number,
): Promise<void> {
  const open = views.filter(({ outcome }) => outcome === undefined)
  for (const end = performance.now() + timeoutMs; performance.now() < end; await delay(POLL_MS)) {
    const news = await Promise.all(
      open.map(async ({ name, waitingID }) => {
        if ((await readOutcome(hostRoot, podUID, name)) !== undefined) return true
        return waitingID === undefined && (await readWaiting(hostRoot, podUID, name)) !== undefined
      }),
    )
    if (news.includes(true)) return
  }
}

/**
 * Makes a container ready to be restored; nothing runs by it. Idempotent.
 *
 * @param isLater its layer waits for it: see layers.ts
 * @throws PodferryError `RootUnknown`, `NodeCommandFailed`
 */
export async function putRootBack(
  hostRoot: string,
  deps: Pick<Dependencies, 'node' | 'mounts' | 'runtimeRoot'>,
  podUID: string,
  container: string,
  isLater: boolean,
): Promise<void> {
  const place = { hostRoot, podUID, container }
  const root = isLater ? await withItsLayer(place, deps) : await takenRoot(place)
  if (root) await putBack(root, deps)
}

/** @returns the root with what was sent for it; as it is when that was done before */
async function withItsLayer(
  place: { hostRoot: string; podUID: string; container: string },
  deps: Pick<Dependencies, 'node' | 'mounts' | 'runtimeRoot'>,
): Promise<TakenRoot | undefined> {
  const { hostRoot, podUID, container } = place
  const layer = { hostRoot, runtimeRoot: deps.runtimeRoot, podUID }
  const [known, isToDo, waiting] = await Promise.all([
    takenRoot(place),
    isLayerWaiting(layer, container),
    readWaiting(hostRoot, podUID, container),
  ])
  if (waiting === undefined || (known && !isToDo)) return known
  const root = await takeOff(place, waiting, deps)
  await placeLayer(layer, container, join(hostRoot, root.upper))
  return root
}

/**
 * Lets a wrapper restore. Only after the API server itself has said that the Migration is committed and nothing else is
 * decided. A wrapper claims its state once (`used`), so a repeated word does nothing.
 */
export async function openGate(hostRoot: string, podUID: string, container: string): Promise<void> {
  const root = await takenRoot({ hostRoot, podUID, container })
  if (root) await answer(hostRoot, podUID, container, `restore ${root.containerID}`)
}

/** CRIU's own log, as this process sees it. */
export const restoreLog = (hostRoot: string, podUID: string, container: string): string =>
  join(hostRoot, containerFolder(podUID, container), 'work/restore.log')
