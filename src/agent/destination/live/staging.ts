/**
 * The staging folders of one destination pod: what the wrapper reads and says (docs/design/0002-live-mode.md).
 *
 * /run/podferry/restore/<pod UID>/<container>/. The wrapper claims a container's state by making `used` before it restores,
 * and looks for `refused` after that. So whoever has written `refused` and sees no `used` knows that nothing will be restored.
 */
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../files.ts'
import { makeGate, tell } from '../../jobs/gates.ts'
import { type Mounting, removeFolder } from '../../live/remove-folder.ts'
import { isLabel, isUID } from '../../peer/names.ts'

const RESTORE_ROOT = '/run/podferry/restore'

/** A wrapper that has reached the gate. */
export interface Waiting {
  containerID: string
  /** The container's OCI bundle, absolute on the node. */
  bundle: string
  /** Of the wrapper. */
  pid: number
}

export interface Outcome {
  restored: boolean
  /** runc's exit code; 0 when it was restored. */
  code: number
  /** When the program ran again, else when runc had ended. Nanoseconds since 1970. */
  at: bigint
}

/** @returns on the node; names become paths, so what is none is refused */
export function podFolder(podUID: string): string {
  if (!isUID(podUID)) throw new Error(`${JSON.stringify(podUID)} is no UID of a pod`)
  return `${RESTORE_ROOT}/${podUID}`
}

/** @returns on the node */
export function containerFolder(podUID: string, container: string): string {
  if (!isLabel(container)) throw new Error(`${JSON.stringify(container)} is no name of a container`)
  return `${podFolder(podUID)}/${container}`
}

/**
 * Folders and gates; nothing when they are there.
 *
 * @param containers in kubelet's order: each but the last is held by CRIU's hook until the last one runs
 */
export async function openStaging(hostRoot: string, podUID: string, containers: readonly string[]): Promise<void> {
  for (const container of containers) await openContainer(hostRoot, podUID, container, container !== containers.at(-1))
}

async function openContainer(hostRoot: string, podUID: string, container: string, isHeld: boolean): Promise<void> {
  const folder = join(hostRoot, containerFolder(podUID, container))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(join(hostRoot, podFolder(podUID)), 0o700)
  await chmod(folder, 0o700)
  // Before the gate: nobody restores without it.
  if (isHeld && !(await exists(join(folder, 'hold')))) await replaceFile(join(folder, 'hold'), '', 0o600)
  await makeGate(join(folder, 'gate'))
}

/** @returns undefined while no wrapper has come; one that has come may have ended since */
export async function readWaiting(hostRoot: string, podUID: string, container: string): Promise<Waiting | undefined> {
  const text = await textOf(join(hostRoot, containerFolder(podUID, container), 'waiting'))
  const [, containerID, bundle, pid] = /^([0-9a-zA-Z_.-]+)\n(\/[^\n]+)\n(\d+)\n$/.exec(text) ?? []
  if (containerID === undefined || bundle === undefined) return undefined
  return { containerID, bundle, pid: Number(pid) }
}

/** Whether a wrapper has taken the state: from then on it may run, and nobody else may take it. */
export const isUsed = (hostRoot: string, podUID: string, container: string): Promise<boolean> =>
  exists(join(hostRoot, containerFolder(podUID, container), 'used'))

/** @returns milliseconds since 1970; undefined when no wrapper has taken the state */
export async function usedAt(hostRoot: string, podUID: string, container: string): Promise<number | undefined> {
  const found = await stat(join(hostRoot, containerFolder(podUID, container), 'used')).catch(ignoreMissing)
  return found?.mtimeMs
}

/** @returns undefined while the wrapper has not said how its restore ended */
export async function readOutcome(hostRoot: string, podUID: string, container: string): Promise<Outcome | undefined> {
  const folder = join(hostRoot, containerFolder(podUID, container))
  const path = join(folder, 'outcome')
  const found = await stat(path, { bigint: true }).catch(ignoreMissing)
  if (!found) return undefined
  const [, word, code] = /^(restored|failed)(?: (\d+))?\n$/.exec(await textOf(path)) ?? []
  if (word !== 'restored') return { restored: false, code: Number(code ?? -1), at: found.mtimeNs }
  // Noted by CRIU's hook; runc takes its time to end.
  const resumed = await stat(join(folder, 'resumed'), { bigint: true }).catch(ignoreMissing)
  return { restored: true, code: 0, at: resumed?.mtimeNs ?? found.mtimeNs }
}

/**
 * Says a word to the wrapper that waits. Saying it twice does no harm: a wrapper reads once, and claims the state before it
 * uses it.
 *
 * @param word `restore <container ID>` for exactly that container, `early` for one that has to be made again later, or `refuse`
 * @returns false when nobody waits
 */
export const answer = (hostRoot: string, podUID: string, container: string, word: string): Promise<boolean> =>
  tell(join(hostRoot, containerFolder(podUID, container), 'gate'), word)

const wholeFile = (hostRoot: string, podUID: string, container: string) =>
  join(hostRoot, containerFolder(podUID, container), 'whole')

/** All memory is among the images: the wrapper restores without a daemon that brings the rest. The folder exists. */
export const markWhole = (hostRoot: string, podUID: string, container: string): Promise<void> =>
  writeFile(wholeFile(hostRoot, podUID, container), '', { mode: 0o600 })

export const isWhole = (hostRoot: string, podUID: string, container: string): Promise<boolean> =>
  exists(wholeFile(hostRoot, podUID, container))

/** From now on every wrapper of this pod refuses, also one that comes after a failure and one that would start afresh. */
export async function refuse(hostRoot: string, podUID: string): Promise<void> {
  const folder = join(hostRoot, podFolder(podUID))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (!(await exists(join(folder, 'refused')))) await replaceFile(join(folder, 'refused'), '', 0o600)
}

export const isRefused = (hostRoot: string, podUID: string): Promise<boolean> =>
  exists(join(hostRoot, podFolder(podUID), 'refused'))

/** @returns the containers that have a staging folder */
export async function stagedContainers(hostRoot: string, podUID: string): Promise<string[]> {
  return (await foldersIn(join(hostRoot, podFolder(podUID)))).filter(isLabel)
}

/** @returns UIDs of the pods that have staging folders */
export const stagedPods = async (hostRoot: string): Promise<string[]> =>
  (await foldersIn(join(hostRoot, RESTORE_ROOT))).filter(isUID)

/** @throws PodferryError see removeFolder */
export const removeStaging = (hostRoot: string, podUID: string, mounting: Mounting): Promise<void> =>
  removeFolder(hostRoot, podFolder(podUID), mounting)

const foldersIn = async (path: string): Promise<string[]> =>
  ((await readdir(path, { withFileTypes: true }).catch(ignoreMissing)) ?? [])
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

export const exists = async (path: string): Promise<boolean> => (await stat(path).catch(ignoreMissing)) !== undefined

/** @returns empty when there is no such file */
export const textOf = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(ignoreMissing)) ?? ''

export function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
