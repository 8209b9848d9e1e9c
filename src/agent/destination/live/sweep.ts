/** What a Migration has left that was removed by force, and marks that nobody needs or that a reboot has taken. */
import { MIGRATIONS, PODS } from '../../../api/resources.ts'
import { POD_UID_LABEL } from '../../runtime/cri.ts'
import { layeredPods, removeLayers } from './layers.ts'
import { arrivals, orphans } from './leftovers.ts'
import type { LiveAgent } from './live-agent.ts'
import { markArrived, markedContainers, markedPods, unmark, unmarkContainer } from './marks.ts'
import { judgePages, lookAtPages } from './pages.ts'
import { lookAtRestore } from './release.ts'
import { giveUp, killEverything, removeTraces, strays } from './removal.ts'
import { isRefused, stagedContainers, stagedPods } from './staging.ts'

/**
 * Staging that no Migration under way wants: it was removed by force. What was restored and gets or has its memory goes
 * on; anything else is given up, and stays given up until its pod is gone.
 */
export async function endOrphan(live: LiveAgent, podUID: string, mayRun: boolean): Promise<void> {
  const { deps, hostRoot, log, nodeName } = live
  if (mayRun && (await goesOn(live, podUID))) return
  log.warn({ pod: podUID, node: nodeName }, 'ending what a Migration has left that is gone or was given up')
  await giveUp(hostRoot, podUID)
  await killEverything(hostRoot, deps, podUID)
  if ((await isKnownToRuntime(live, podUID)) || (await strays(hostRoot, deps, podUID)).length > 0) return
  // While there is a pod, kubelet tries to make its containers.
  if (!mayRun) await removeTraces(hostRoot, deps, podUID)
}

/** It was restored, and its memory has come or is coming. */
async function goesOn(live: LiveAgent, podUID: string): Promise<boolean> {
  const { deps, hostRoot } = live
  const names = await stagedContainers(hostRoot, podUID)
  const views = await Promise.all(names.map((name) => lookAtRestore(hostRoot, deps, podUID, name)))
  const ran = names.length > 0 && views.every(({ outcome }) => outcome?.restored === true)
  if (!ran || (await isRefused(hostRoot, podUID))) return false
  const pages = judgePages(
    await lookAtPages(hostRoot, deps.jobs, podUID, names, (_, folder) => deps.keepers.state(folder)),
  )
  if (pages.kind === 'lost') return false
  await markArrived(hostRoot, podUID)
  // Without a Migration there is no `Delivered` to tell the twin of: the source's agent decides by itself.
  if (pages.kind === 'arrived') await removeTraces(hostRoot, deps, podUID)
  return true
}

async function isKnownToRuntime(live: LiveAgent, podUID: string): Promise<boolean> {
  const { deps } = live
  const labels = { [POD_UID_LABEL]: podUID }
  const [sandboxes, containers] = await Promise.all([deps.cri.sandboxes(labels), deps.cri.containers(labels)])
  return (
    sandboxes.some(({ state }) => state === 'SANDBOX_READY') ||
    containers.some(({ state }) => state !== 'CONTAINER_EXITED')
  )
}

/** Everything of this node that no Migration under way wants. */
export async function sweep(live: LiveAgent): Promise<void> {
  const { client, deps, hostRoot, nodeName } = live
  // Before the staging folders are found: layers are sent to pods that have one. A reboot takes those and leaves these.
  const layered = await layeredPods(hostRoot, deps.runtimeRoot)
  const [staged, marked, containers] = await Promise.all([
    stagedPods(hostRoot),
    markedPods(hostRoot),
    markedContainers(hostRoot),
  ])
  // Read after the folders were found: what came later is not among them.
  const [migrations, pods] = await Promise.all([
    client.list(MIGRATIONS),
    client.list(PODS, { fieldSelector: `spec.nodeName=${nodeName}` }),
  ])
  for (const podUID of layered.filter((uid) => !staged.includes(uid))) {
    await removeLayers({ hostRoot, runtimeRoot: deps.runtimeRoot, podUID })
  }
  const view = { migrations: migrations.items, pods: pods.items }
  for (const { podUID, mayRun } of orphans(staged, view)) await endOrphan(live, podUID, mayRun)
  const present = new Set(pods.items.map(({ metadata }) => metadata.uid))
  for (const uid of marked) if (!present.has(uid) && !(await isKnownToRuntime(live, uid))) await unmark(hostRoot, uid)
  for (const uid of arrivals(view)) if (!(await isRefused(hostRoot, uid))) await markArrived(hostRoot, uid)
  if (containers.length === 0) return
  const alive = new Set((await deps.cri.containers({})).map(({ id }) => id))
  for (const id of containers) if (!alive.has(id)) await unmarkContainer(hostRoot, id)
}
