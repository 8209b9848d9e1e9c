/** Reading and changing the freezer of one pod cgroup, version 1 or 2. */
import type { Dirent } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { PodferryError } from '../../errors.ts'
import { freezerFolder, type PodCgroup } from './pod-cgroup.ts'

export type FreezerState = 'thawed' | 'freezing' | 'frozen' | 'gone'

const pollMs = 10
const patienceMs = 10_000
/** CRIU holds every task still by then: it is a matter of milliseconds, and the pod's downtime. */
const freezePatienceMs = 5_000

/** @returns what the kernel says now; `gone` when the cgroup no longer exists */
export async function freezerState(hostRoot: string, cgroup: PodCgroup): Promise<FreezerState> {
  const folder = join(hostRoot, freezerFolder(cgroup))
  try {
    if (cgroup.version === 1) {
      const state = (await readFile(join(folder, 'freezer.state'), 'utf8')).trim()
      return state === 'FROZEN' ? 'frozen' : state === 'FREEZING' ? 'freezing' : 'thawed'
    }
    if (/^frozen 1$/m.test(await readFile(join(folder, 'cgroup.events'), 'utf8'))) return 'frozen'
    return (await readFile(join(folder, 'cgroup.freeze'), 'utf8')).trim() === '1' ? 'freezing' : 'thawed'
  } catch (error) {
    if (isGone(error)) return 'gone'
    throw error
  }
}

/**
 * Stops every process of the pod and returns when the kernel says that they stand still. Tasks that CRIU holds count as standing.
 *
 * @throws PodferryError `FreezeFailed`; the cgroup may then be half frozen and wants a thaw
 */
export async function freeze(hostRoot: string, cgroup: PodCgroup): Promise<void> {
  let state: FreezerState
  for (const end = Date.now() + freezePatienceMs; ; await delay(1)) {
    await writeState(hostRoot, freezerFolder(cgroup), cgroup, true)
    state = await freezerState(hostRoot, cgroup)
    if (state === 'frozen') return
    if (state === 'gone' || Date.now() > end) break
  }
  throw new PodferryError({
    reason: 'FreezeFailed',
    message: `cgroup ${cgroup.path} is ${state} after it was told to freeze; a process of the pod hangs in the kernel or the pod has just ended`,
  })
}

/** Thaws the cgroups below the pod's: a container that `runc pause` has stopped stands still whatever its pod does. */
export async function thawWithin(hostRoot: string, cgroup: PodCgroup): Promise<void> {
  for (const folder of await foldersBelow(join(hostRoot, freezerFolder(cgroup))))
    await writeState('/', folder, cgroup, false)
}

/**
 * Lets every process of the pod run again and returns when the kernel says that they do.
 *
 * @throws PodferryError `ThawFailed` when the cgroup stays frozen: an ancestor must be frozen by somebody else
 */
export async function thaw(hostRoot: string, cgroup: PodCgroup): Promise<void> {
  const end = Date.now() + patienceMs
  while (Date.now() < end) {
    await writeState(hostRoot, freezerFolder(cgroup), cgroup, false)
    const state = await freezerState(hostRoot, cgroup)
    if (state === 'thawed' || state === 'gone') return
    await delay(pollMs)
  }
  throw new PodferryError({
    reason: 'ThawFailed',
    message: `cgroup ${cgroup.path} stays frozen after a thaw; look for a frozen cgroup above it on the node`,
    retry: 'backoff',
  })
}

/**
 * Ends every process of the pod without one more instruction of its program: a process that wakes with SIGKILL pending dies
 * before it returns to user mode. Version 2 lets frozen processes die; in version 1 they die on the thaw, which comes only
 * after the last of them has been signalled.
 *
 * @param only IDs of containers: what else the pod has runs on, which is its sandbox. Default: everything
 * @throws PodferryError `KillFailed` when processes are still there after ten seconds
 */
export async function killAll(hostRoot: string, cgroup: PodCgroup, only?: readonly string[]): Promise<void> {
  const end = Date.now() + patienceMs
  const folder = join(hostRoot, freezerFolder(cgroup))
  const living = async () => (await Promise.all((await foldersOf(folder, only)).map(processesIn))).flat()
  const signalled = new Set<number>()
  for (;;) {
    // What came between the listing and the signal (an exec probe) is found by the next round.
    const fresh = (await living()).filter((pid) => !signalled.has(pid))
    if (fresh.length === 0) break
    for (const pid of fresh) signalled.add(kill(pid))
  }
  await thaw(hostRoot, cgroup)
  await thawWithin(hostRoot, cgroup)
  while (Date.now() < end) {
    const left = await living()
    if (left.length === 0) return
    left.forEach(kill)
    await delay(pollMs)
  }
  throw new PodferryError({
    reason: 'KillFailed',
    message: `processes of cgroup ${cgroup.path} do not die; they hang in the kernel, see their /proc/PID/stack`,
    retry: 'backoff',
  })
}

/** Nothing when the cgroup is gone. */
async function writeState(root: string, folder: string, { version }: PodCgroup, frozen: boolean): Promise<void> {
  const [file, word] =
    version === 1 ? ['freezer.state', frozen ? 'FROZEN' : 'THAWED'] : ['cgroup.freeze', frozen ? '1' : '0']
  try {
    await writeFile(join(root, folder, file), word, { flag: 'r+' })
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

/** The pod's folder, or those of some of its containers: `<ID>`, with systemd `cri-containerd-<ID>.scope`. */
async function foldersOf(pod: string, only: readonly string[] | undefined): Promise<string[]> {
  if (only === undefined) return [pod]
  return (await foldersBelow(pod)).filter((folder) => only.some((id) => basename(folder).includes(id)))
}

async function foldersBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    if (!isGone(error)) throw error
    return []
  })
  const own = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
  return [...own, ...(await Promise.all(own.map(foldersBelow))).flat()]
}

async function processesIn(folder: string): Promise<number[]> {
  let entries: Dirent[]
  let own: string
  try {
    own = await readFile(join(folder, 'cgroup.procs'), 'utf8')
    entries = await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => processesIn(join(folder, entry.name))),
  )
  return [...own.split('\n').filter(Boolean).map(Number), ...below.flat()]
}

function kill(pid: number): number {
  // The kernel shows 0 for a process outside the reader's PID namespace; a signal to 0 would hit our own process group.
  if (!Number.isSafeInteger(pid) || pid <= 1) {
    throw new PodferryError({
      reason: 'KillFailed',
      message: `the pod's cgroup holds process ${pid} as seen from here; the agent's pod needs hostPID: true`,
    })
  }
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  return pid
}

// ENODEV: the cgroup was removed while its file was open.
const isGone = (error: unknown): boolean => ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
