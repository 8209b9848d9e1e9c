/**
 * Writable layers of containers that kubelet makes only when those before them run: what is sent for them waits in a folder of its own,
 * and takes the place of the layer when the container's wrapper has come. On the runtime's own disk, so that it is one rename.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isLabel, isUID } from '../../peer/names.ts'
import { exists, ignoreMissing } from './staging.ts'

export interface LayerPlace {
  hostRoot: string
  /** The container runtime's storage on the node. */
  runtimeRoot: string
  podUID: string
}

const FOLDER = 'podferry-layers'

/** @returns as this process sees it; names become paths, so what is none is refused */
function layerFolder({ hostRoot, runtimeRoot, podUID }: LayerPlace, container = ''): string {
  if (!isUID(podUID) || (container !== '' && !isLabel(container))) throw new Error('no UID or no name of a container')
  return join(hostRoot, runtimeRoot, FOLDER, podUID, container)
}

/** @returns the folder to fill, as this process sees it */
export async function openLayer(place: LayerPlace, container: string): Promise<string> {
  const folder = layerFolder(place, container)
  await mkdir(join(place.hostRoot, place.runtimeRoot, FOLDER), { recursive: true, mode: 0o700 })
  await mkdir(folder, { recursive: true, mode: 0o755 })
  return folder
}

/** Whether something was sent for a container that is not made yet. */
export const isLayerWaiting = (place: LayerPlace, container: string): Promise<boolean> =>
  exists(layerFolder(place, container))

/**
 * Puts the waiting layer in place of another. Nothing when none waits; to be repeated after a crash.
 *
 * @param upper as this process sees it; its overlay must not be mounted
 */
export async function placeLayer(place: LayerPlace, container: string, upper: string): Promise<void> {
  const folder = layerFolder(place, container)
  if (!(await exists(folder))) return
  await rm(upper, { recursive: true, force: true })
  await rename(folder, upper)
}

/** Nothing when there are none. */
export const removeLayers = (place: LayerPlace): Promise<void> =>
  rm(layerFolder(place), { recursive: true, force: true })

/** @returns UIDs of pods */
export async function layeredPods(hostRoot: string, runtimeRoot: string): Promise<string[]> {
  const names = (await readdir(join(hostRoot, runtimeRoot, FOLDER)).catch(ignoreMissing)) ?? []
  return names.filter(isUID)
}
