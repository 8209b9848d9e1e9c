/** The folders of a pod whose contents move with it: writable layers, emptyDirs, shared memory. */
import { readdir, readFile, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { PodferryError } from '../../../errors.ts'

/** `layer:<container>`, `volume:<name>` or `shm`. */
export type FileRoot = string

export interface SourceRoot {
  root: FileRoot
  /** As this process sees it. */
  folder: string
  /** What lies in memory only can't be copied ahead: see pack.ts. */
  medium: 'disk' | 'memory'
}

/** statfs(2), f_type of tmpfs. */
const TMPFS = 0x01021994
const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const FILE_ROOT = new RegExp(`^(layer:${LABEL}|volume:${LABEL}|shm)$`)

/** Names become paths: a DNS label, nothing else. */
export const isFileRoot = (text: string): text is FileRoot => FILE_ROOT.test(text)

/**
 * @param hostRoot where the node's root file system is seen; its /proc must show the node's processes
 * @param kubeletRoot the kubelet's --root-dir on the node
 * @param pod with the first process of each container
 * @throws PodferryError `SnapshotterNotSupported` when a container's root is no overlay
 */
export async function sourceRoots(
  hostRoot: string,
  kubeletRoot: string,
  pod: { uid: string; containers: { name: string; pid: number }[] },
): Promise<SourceRoot[]> {
  const layers = await Promise.all(
    pod.containers.map(async ({ name, pid }) => {
      const mounts = await readFile(join(hostRoot, 'proc', String(pid), 'mountinfo'), 'utf8')
      return await rootAt(`layer:${name}`, join(hostRoot, upperFolder(mounts, name)))
    }),
  )
  const volumes = join(hostRoot, kubeletRoot, 'pods', pod.uid, 'volumes/kubernetes.io~empty-dir')
  const names = await readdir(volumes).catch((error) => {
    if (error.code !== 'ENOENT') throw error
    return []
  })
  const emptyDirs = await Promise.all(names.map((name) => rootAt(`volume:${name}`, join(volumes, name))))
  return [...layers, ...emptyDirs, ...(await sharedMemory(hostRoot, pod.containers[0]?.pid))]
}

/** Owner and mode of a sandbox's /dev/shm. */
const FRESH = { uid: 0, gid: 0, mode: 0o41777 }

/**
 * Most pods never touch their shared memory, and a fresh sandbox's is as fresh at the destination.
 *
 * @returns whether a root must travel once nothing changes it any more
 */
export async function isNeeded({ root, folder }: SourceRoot): Promise<boolean> {
  if (root !== 'shm') return true
  const { uid, gid, mode } = await stat(folder)
  const fresh = uid === FRESH.uid && gid === FRESH.gid && mode === FRESH.mode
  return !fresh || (await readdir(folder)).length > 0
}

async function rootAt(root: FileRoot, folder: string): Promise<SourceRoot> {
  if (!isFileRoot(root)) throw new Error(`${JSON.stringify(root)} is no name of a container or volume`)
  return { root, folder, medium: (await isTmpfs(folder)) ? 'memory' : 'disk' }
}

const isTmpfs = async (folder: string) => (await statfs(folder)).type === TMPFS

/** All containers of a pod share one /dev/shm, unless the pod has mounted something of its own there. */
async function sharedMemory(hostRoot: string, pid: number | undefined): Promise<SourceRoot[]> {
  if (pid === undefined) return []
  const folder = join(hostRoot, 'proc', String(pid), 'root/dev/shm')
  const there = await stat(folder).catch(() => undefined)
  return there?.isDirectory() && (await isTmpfs(folder)) ? [{ root: 'shm', folder, medium: 'memory' }] : []
}

/**
 * @param mountinfo of a process in the container, see proc_pid_mountinfo(5)
 * @returns the upper folder of the overlay that is its root, on the node
 */
export function upperFolder(mountinfo: string, container: string): string {
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const [type, , options = ''] = after.split(' ')
    if (before.split(' ')[4] !== '/' || type !== 'overlay') continue
    const upper = options.split(/(?<!\\134),/).find((option) => option.startsWith('upperdir='))
    if (upper !== undefined) return decoded(upper.slice('upperdir='.length))
  }
  throw new PodferryError({
    reason: 'SnapshotterNotSupported',
    message: `the root of container ${container} is no overlay with an upper folder; mode Live needs the overlayfs snapshotter, mode Image works with any`,
  })
}

/** The kernel writes blanks, tabs, line feeds and backslashes as three octal digits; overlayfs puts a backslash before commas. */
const decoded = (text: string) =>
  text
    .replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    .replace(/\\(.)/g, '$1')
