/** Taking away what a Live migration has brought to this node, and the proof that nothing of it runs or can run. */
import type { LiveDestinationDependencies } from './dependencies.ts'
import { removeLayers } from './layers.ts'
import { killLazy } from './lazy-pages.ts'
import { unmark } from './marks.ts'
import { isAlive, killRestorers, restorers } from './restorers.ts'
import {
  answer,
  containerFolder,
  isUsed,
  podFolder,
  readWaiting,
  refuse,
  removeStaging,
  stagedContainers,
} from './staging.ts'

type Dependencies = Pick<LiveDestinationDependencies, 'fence' | 'jobs' | 'keepers' | 'node' | 'mounts' | 'runtimeRoot'>

/** From now on no container of the pod is restored or started; what runs, runs. Idempotent. */
export async function giveUp(hostRoot: string, podUID: string): Promise<void> {
  // `refused` before the mark goes: the wrapper looks for it first.
  await refuse(hostRoot, podUID)
  await unmark(hostRoot, podUID)
  for (const name of await stagedContainers(hostRoot, podUID)) await answer(hostRoot, podUID, name, 'refuse')
}

/**
 * Ends everything that runs for the pod, the processes of the pod first: without the daemon their missing memory would read
 * as zeros. A pod that was never restored keeps its sandbox: kubelet ends that.
 */
export async function killEverything(hostRoot: string, deps: Dependencies, podUID: string): Promise<void> {
  await killRestorers(hostRoot, podFolder(podUID))
  if (await hasRun(hostRoot, podUID)) {
    const cgroup = await deps.fence.find(podUID)
    if (cgroup) await deps.fence.killAll(cgroup)
  }
  await endJobs(hostRoot, deps, podUID)
}

/** Page daemons and keepers. */
async function endJobs(hostRoot: string, { jobs, keepers }: Dependencies, podUID: string): Promise<void> {
  for (const name of await stagedContainers(hostRoot, podUID)) {
    const folder = containerFolder(podUID, name)
    await killLazy({ hostRoot, jobs, folder })
    await keepers.end(folder)
  }
}

/**
 * Call after `giveUp`.
 *
 * @returns for people, what is still there besides what kubelet and runtime know
 */
export async function strays(hostRoot: string, { fence }: Dependencies, podUID: string): Promise<string[]> {
  // In this order: a wrapper begins a restore, a restore begins processes of the pod.
  for (const name of await stagedContainers(hostRoot, podUID)) {
    const waiting = await readWaiting(hostRoot, podUID, name)
    if (waiting && (await isAlive(hostRoot, waiting))) return [`runtime wrapper ${waiting.pid} of container ${name}`]
  }
  const left = await restorers(hostRoot, podFolder(podUID))
  if (left.length > 0) return left.map((pid) => `restore ${pid}`)
  if (!(await hasRun(hostRoot, podUID))) return []
  return (await fence.find(podUID)) ? ['processes in the cgroup of the pod'] : []
}

/** The last thing to go: until then the wrapper refuses. */
export async function removeTraces(hostRoot: string, deps: Dependencies, podUID: string): Promise<void> {
  await endJobs(hostRoot, deps, podUID)
  await removeLayers({ hostRoot, runtimeRoot: deps.runtimeRoot, podUID })
  await removeStaging(hostRoot, podUID, deps)
}

const hasRun = async (hostRoot: string, podUID: string): Promise<boolean> => {
  const names = await stagedContainers(hostRoot, podUID)
  return (await Promise.all(names.map((name) => isUsed(hostRoot, podUID, name)))).some(Boolean)
}
