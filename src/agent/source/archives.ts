/** The kubelet's checkpoint archives on this node. The kubelet never deletes them; whoever asked for them must. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SourceEntry } from './entry.ts'

/** From the root of the node's file system; the kubelet's --root-dir decides. */
export const checkpointFolder = (kubeletRoot: string): string => join(kubeletRoot, 'checkpoints')

interface Named {
  namespace: string
  pod: string
  container: string
}

/** @returns paths on the node of all archives of this container, whoever asked for them */
export async function archivesOf(hostRoot: string, folder: string, of: Named): Promise<string[]> {
  // kubelet.go: checkpoint-<pod>_<namespace>-<container>-<RFC 3339 time>.tar; a year follows, never the rest of a longer name.
  const prefix = `checkpoint-${of.pod}_${of.namespace}-${of.container}-`
  const names = await readdir(join(hostRoot, folder)).catch(() => [])
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{4}-\d\d-\d\dT[^/]*\.tar$/.test(name.slice(prefix.length)))
    .map((name) => join(folder, name))
}

export async function archiveBytes(hostRoot: string, path: string): Promise<number> {
  return (await stat(join(hostRoot, path))).size
}

/** Deletes what this Migration's dump has written: the archives known, and those whose path was lost in a crash. */
export async function removeArchives(hostRoot: string, folder: string, entry: SourceEntry): Promise<void> {
  const found = await archivesOf(hostRoot, folder, {
    namespace: entry.namespace,
    pod: entry.pod.name,
    container: entry.container.name,
  })
  const orphans = found.filter((path) => !entry.foreignArchives.includes(path))
  const known = entry.archives.map(({ path }) => path)
  for (const path of new Set([...known, ...orphans])) await rm(join(hostRoot, path), { force: true })
}

/** The folders in which one dump writes the memory, and how many times each (containerd and CRI-O alike: four in all). */
export const dumpFolders = (
  kubeletRoot: string,
  exists: (path: string) => boolean,
): { path: string; copies: number }[] => {
  const runtime = ['/var/lib/containerd', '/var/lib/containers/storage'].find(exists)
  // Kubelet makes the folder with its first checkpoint; it may be a disk of its own.
  const archives = [checkpointFolder(kubeletRoot)].find(exists) ?? kubeletRoot
  return [
    { path: '/tmp', copies: 1 },
    { path: runtime ?? kubeletRoot, copies: 2 },
    { path: archives, copies: 1 },
  ]
}
