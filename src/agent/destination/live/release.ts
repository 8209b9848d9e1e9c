/** Step 9: opens the gates after the commit, and looks what became of the restore. */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LiveDestinationDependencies } from './dependencies.ts'
import { lazyState } from './lazy-pages.ts'
import { isAlive, restorers } from './restorers.ts'
import { putBack, takenRoot } from './root.ts'
import { answer, containerFolder, readOutcome, readWaiting, textOf, usedAt } from './staging.ts'
import type { RestoreView } from './verdict.ts'

type Dependencies = Pick<LiveDestinationDependencies, 'jobs' | 'node' | 'mounts'>

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
  const lazy = await lazyState({ hostRoot, jobs, folder })
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

/** Resolves when a wrapper has said how its restore ended, or the time is over. */
export async function awaitOutcome(
  hostRoot: string,
  podUID: string,
  views: readonly RestoreView[],
  timeoutMs: number,
): Promise<void> {
  const open = views.filter(({ outcome }) => outcome === undefined)
  for (const end = performance.now() + timeoutMs; performance.now() < end; await delay(POLL_MS)) {
    const outcomes = await Promise.all(open.map(({ name }) => readOutcome(hostRoot, podUID, name)))
    if (outcomes.some((outcome) => outcome !== undefined)) return
  }
}

/** Makes the containers ready to be restored; nothing runs by it. Idempotent. */
export async function putRootsBack(
  hostRoot: string,
  deps: Pick<Dependencies, 'node' | 'mounts'>,
  podUID: string,
  names: readonly string[],
): Promise<void> {
  await Promise.all(
    names.map(async (container) => {
      const root = await takenRoot({ hostRoot, podUID, container })
      if (root) await putBack(root, deps)
    }),
  )
}

/**
 * Lets the wrappers restore. Only after the API server itself has said that the Migration is committed and nothing else is
 * decided. A wrapper claims its state once (`used`), so a repeated word does nothing.
 */
export async function openGates(hostRoot: string, podUID: string, views: readonly RestoreView[]): Promise<void> {
  const closed = views.filter(({ usedAt, outcome }) => usedAt === undefined && outcome === undefined)
  await Promise.all(closed.map(({ name, stagedFor }) => answer(hostRoot, podUID, name, `restore ${stagedFor}`)))
}

/** CRIU's own log, as this process sees it. */
export const restoreLog = (hostRoot: string, podUID: string, container: string): string =>
  join(hostRoot, containerFolder(podUID, container), 'work/restore.log')
