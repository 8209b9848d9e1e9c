/**
 * The root file system of a waiting container. Its writable layer may be filled behind an overlay's back only while the overlay
 * is not mounted (the kernel calls anything else undefined), so it is taken off and put back as it was.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { PodferryError } from '../../../errors.ts'
import { replaceFile } from '../../files.ts'
import type { NodeCommands } from '../../install/node-commands.ts'
import { findOverlay, hasAbsoluteLayers, isMounted, lowerLayers, type OverlayMount } from '../../live/mounts.ts'
import type { Mounting } from '../../live/remove-folder.ts'
import { containerFolder, exists, textOf, type Waiting } from './staging.ts'

const rootSchema = z.object({
  /** The container that it is the root of; another attempt of the same container has another. */
  containerID: z.string(),
  target: z.string(),
  options: z.array(z.string()),
  upper: z.string(),
  /** Where mount(8) has to stand for the names of the lower layers to be right. */
  standIn: z.string(),
})
export type TakenRoot = z.output<typeof rootSchema>

const TIMEOUT_MS = 20_000

interface Place {
  hostRoot: string
  podUID: string
  container: string
}

/** @returns the root that was taken off, or is about to be; undefined when `takeOff` has not been there */
export async function takenRoot({ hostRoot, podUID, container }: Place): Promise<TakenRoot | undefined> {
  const text = await textOf(fileOf({ hostRoot, podUID, container }))
  return text === '' ? undefined : rootSchema.parse(JSON.parse(text))
}

/**
 * Unmounts the root file system. Written down before it is done; idempotent.
 *
 * @throws PodferryError `RootUnknown` when it is no overlay in the node's mount namespace
 */
export async function takeOff(place: Place, waiting: Waiting, { node, mounts }: Mounting): Promise<TakenRoot> {
  const target = `${waiting.bundle}/rootfs`
  const known = await takenRoot(place)
  const mount = findOverlay(await mounts(), target)
  if (mount === undefined) {
    if (known?.containerID === waiting.containerID) return known
    throw unknownRoot(place, `no overlay is mounted at ${target} in the node's mount namespace`)
  }
  const standIn = await whereToStand(place, mount)
  const root: TakenRoot = { containerID: waiting.containerID, ...mount, standIn }
  await replaceFile(fileOf(place), `${JSON.stringify(root)}\n`, 0o600)
  await run(node, ['umount', target])
  return root
}

/** Unmounts what `putBack` has mounted; nothing when it is off. */
export async function takeOffAgain(root: TakenRoot, { node, mounts }: Mounting): Promise<void> {
  if (isMounted(await mounts(), root.target)) await run(node, ['umount', root.target])
}

/** Mounts it again; nothing when it is mounted. */
export async function putBack(root: TakenRoot, { node, mounts }: Mounting): Promise<void> {
  if (isMounted(await mounts(), root.target)) return
  // The newer way of mounting takes no option of more than 255 characters, which a dozen layers are.
  const mount = ['env', '-C', root.standIn, 'LIBMOUNT_FORCE_MOUNT2=always', 'mount', '-t', 'overlay']
  await run(node, [...mount, '-o', root.options.join(','), 'overlay', root.target])
}

async function run(node: NodeCommands, argv: readonly string[]): Promise<void> {
  const { code, stderr } = await node.exec(argv, { timeoutMs: TIMEOUT_MS })
  if (code === 0) return
  const message = `${argv.join(' ')} failed on the node: ${stderr.trim() || `exit code ${code}`}`.slice(0, 2000)
  throw new PodferryError({ reason: 'NodeCommandFailed', message, retry: 'backoff' })
}

/** For the dependency `mounts`: of the node's PID 1, as containerd's shims mount where it sees it. */
export const nodeMounts = (hostRoot: string) => (): Promise<string> => readFile(join(hostRoot, 'proc/1/mounts'), 'utf8')

async function whereToStand(place: Place, mount: OverlayMount): Promise<string> {
  if (hasAbsoluteLayers(mount)) return '/'
  // …/snapshots/12/fs: containerd stands in …/snapshots, or in a folder above it that all layers share.
  for (let folder = parent(parent(mount.upper)); folder !== ''; folder = parent(folder)) {
    const paths = lowerLayers(mount.options).map((layer) => join(place.hostRoot, folder, layer))
    const found = await Promise.all(paths.map(exists))
    if (found.every(Boolean)) return folder
  }
  throw unknownRoot(place, `its layers ${lowerLayers(mount.options).join(', ')} are not found on the node`)
}

const parent = (path: string) => path.slice(0, path.lastIndexOf('/'))

const fileOf = ({ hostRoot, podUID, container }: Place) =>
  join(hostRoot, containerFolder(podUID, container), 'root.json')

const unknownRoot = ({ container }: Place, why: string) =>
  new PodferryError({
    reason: 'RootUnknown',
    message: `the root file system of container ${container} cannot be filled: ${why}; mode Live needs containerd's overlayfs snapshotter, mode Image does not`,
  })
