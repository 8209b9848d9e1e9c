/** The marks by which the wrapper knows that a pod has arrived: a restart of one of its containers is an ordinary start. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isUID } from '../../peer/names.ts'
import { ignoreMissing } from './staging.ts'

const BY_POD = '/run/podferry/restored/by-pod'
const BY_CONTAINER = '/run/podferry/restored/by-container'

/** Only for a pod whose Restored is True in the API server: a container may start afresh from now on. */
export async function markArrived(hostRoot: string, podUID: string): Promise<void> {
  if (!isUID(podUID)) throw new Error(`${JSON.stringify(podUID)} is no UID of a pod`)
  await mkdir(join(hostRoot, BY_POD), { recursive: true, mode: 0o700 })
  await writeFile(join(hostRoot, BY_POD, podUID), '', { mode: 0o600 })
}

export async function unmark(hostRoot: string, podUID: string): Promise<void> {
  await rm(join(hostRoot, BY_POD, podUID), { force: true })
}

/** @returns UIDs of the pods that are marked */
export const markedPods = async (hostRoot: string): Promise<string[]> =>
  (await namesIn(join(hostRoot, BY_POD))).filter(isUID)

/** @returns IDs of the containers that were restored; runc's `delete` takes the mark away, unless it was never called */
export const markedContainers = (hostRoot: string): Promise<string[]> => namesIn(join(hostRoot, BY_CONTAINER))

export async function unmarkContainer(hostRoot: string, containerID: string): Promise<void> {
  await rm(join(hostRoot, BY_CONTAINER, containerID), { force: true })
}

const namesIn = async (path: string): Promise<string[]> => (await readdir(path).catch(ignoreMissing)) ?? []
