/** Makes the container that waits ready to be restored from what was delivered: images at hand, root file system filled. */
import { mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../files.ts'
import type { LiveDestinationDependencies } from '../live/dependencies.ts'
import { putBack, takenRoot, takeOff } from '../live/root.ts'
import { containerFolder, textOf, type Waiting } from '../live/staging.ts'
import { applyLayer } from './layer.ts'
import { imagesOf, layerOf, markReleased, type UnpackedPlace } from './unpacked.ts'

const staged = ({ hostRoot, podUID, container }: UnpackedPlace, name: string) =>
  join(hostRoot, containerFolder(podUID, container), name)

/** Whether it was made ready for the container whose root was taken off: what is left is to open its gate. */
export async function isFilled(place: UnpackedPlace): Promise<boolean> {
  const root = await takenRoot(place)
  return root !== undefined && (await textOf(staged(place, 'filled'))).trim() === root.containerID
}

/**
 * Everything but the gate. It may be called again after it was interrupted, and for another container when the one before has ended.
 *
 * @throws PodferryError what applyLayer and takeOff throw
 */
export async function fill(
  place: UnpackedPlace,
  waiting: Waiting,
  deps: Pick<LiveDestinationDependencies, 'node' | 'mounts'>,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(staged(place, 'work'), { recursive: true, mode: 0o700 })
  await rm(staged(place, 'image'), { recursive: true, force: true })
  await symlink(imagesOf(place), staged(place, 'image'))
  const root = await takeOff(place, waiting, deps)
  const layer = await layerOf(place)
  if (layer !== undefined) await applyLayer(layer, join(place.hostRoot, root.upper), signal)
  await putBack(root, deps)
  await markReleased(place)
  await replaceFile(staged(place, 'filled'), `${waiting.containerID}\n`, 0o600)
}
