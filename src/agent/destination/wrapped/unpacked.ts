/**
 * A delivered checkpoint, unpacked on the node's disk for podferry's own OCI runtime. Not below /run, where its memory would lie in
 * memory: /var/lib/podferry/unpacked/<pod UID>/<container>/, root only.
 */
import { lstat, mkdir, readdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PodferryError } from '../../../errors.ts'
import { runTar } from '../../live/files/tar.ts'
import { isLabel, isUID } from '../../peer/names.ts'
import { exists, ignoreMissing } from '../live/staging.ts'

const ROOT = '/var/lib/podferry/unpacked'
/** As kubelet and containerd name them in their archive. */
const IMAGES = 'checkpoint'
const LAYER = 'rootfs-diff.tar'
const RELEASED = 'released'

export interface UnpackedPlace {
  hostRoot: string
  podUID: string
  container: string
}

/** @returns on the node; names become paths, so what is none is refused */
function folderOf({ podUID, container }: Omit<UnpackedPlace, 'hostRoot'>): string {
  if (!isUID(podUID) || !isLabel(container))
    throw new Error(`${JSON.stringify([podUID, container])} names no container`)
  return `${ROOT}/${podUID}/${container}`
}

const seen = (place: UnpackedPlace, ...path: string[]) => join(place.hostRoot, folderOf(place), ...path)

/** CRIU's images, absolute on the node. */
export const imagesOf = (place: UnpackedPlace): string => `${folderOf(place)}/${IMAGES}`

/** @returns what the container had changed of its image, as OCI writes a layer, as this process sees it; undefined when it had not */
export async function layerOf(place: UnpackedPlace): Promise<string | undefined> {
  const path = seen(place, LAYER)
  return (await exists(path)) ? path : undefined
}

export const isUnpacked = (place: UnpackedPlace): Promise<boolean> => exists(seen(place))

/**
 * Whole or not at all: nothing of that name is seen before all of it is there.
 *
 * @param archive of the kubelet, as this process sees it
 * @throws PodferryError `CheckpointUnreadable`, `DiskTooSmall`; the signal's reason
 */
export async function unpack(place: UnpackedPlace, archive: string, signal: AbortSignal): Promise<void> {
  // No container is named so.
  const draft = `${seen(place)}.draft`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true, mode: 0o700 })
  // The log of the container may be long, and nobody restores it.
  const what = [`--file=${archive}`, `--directory=${draft}`, '--exclude=container.log']
  const { output, done } = runTar(['--extract', '--no-same-owner', '--sparse', ...what], { signal })
  output.resume()
  try {
    await done
    await lookThrough(draft)
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    signal.throwIfAborted()
    throw unreadable(place, cause)
  }
  await rename(draft, seen(place))
}

/** A link among the images would lead CRIU, which is root, to any file of the node. */
async function lookThrough(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() && !entry.isDirectory()) throw new Error(`${entry.name} is neither a file nor a folder`)
  }
  const inventory = await lstat(join(folder, IMAGES, 'inventory.img')).catch(ignoreMissing)
  if (!inventory?.isFile()) throw new Error(`there is no ${IMAGES}/inventory.img in it`)
}

function unreadable({ container }: UnpackedPlace, cause: unknown): PodferryError {
  const words = cause instanceof Error ? cause.message : String(cause)
  if (/No space left on device/.test(words)) {
    const message = `${ROOT} on the destination node has no room for the checkpoint of container ${container}; free space there or choose another node`
    return new PodferryError({ reason: 'DiskTooSmall', message, cause })
  }
  const message = `the checkpoint of container ${container} that has arrived cannot be unpacked: ${words}`
  return new PodferryError({ reason: 'CheckpointUnreadable', message, cause })
}

/** On the disk, so that a node that was rebooted knows that the program may have run there. Before the gate is opened. */
export const markReleased = (place: UnpackedPlace): Promise<void> =>
  writeFile(seen(place, RELEASED), '', { mode: 0o600, flush: true })

export const wasReleased = (place: UnpackedPlace): Promise<boolean> => exists(seen(place, RELEASED))

/** Nothing when there is none. */
export async function removeUnpacked(hostRoot: string, podUID: string): Promise<void> {
  const folder = join(hostRoot, dirname(folderOf({ podUID, container: 'any' })))
  await rm(folder, { recursive: true, force: true })
  // The last one takes their common folder along.
  await rmdir(dirname(folder)).catch(() => {})
}

/** @returns UIDs of the pods for which something was unpacked */
export async function unpackedPods(hostRoot: string): Promise<string[]> {
  const root = join(hostRoot, ROOT)
  return (await stat(root).catch(ignoreMissing)) ? (await readdir(root)).filter(isUID) : []
}
