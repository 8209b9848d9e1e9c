/** CRIU images that a cancelled dump has left in /tmp: they hold memory, and containerd does not come back for them. */
import { readdir, readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Removes containerd's dump folders that were begun since then and that no process uses. Call it when no dump of the container
 * runs; a folder of another dump has files open in it, or was begun earlier.
 *
 * @param since milliseconds since 1970
 */
export async function removeScraps(hostRoot: string, since: number): Promise<void> {
  const folders: string[] = []
  for (const name of await readdir(join(hostRoot, 'tmp')).catch(() => [])) {
    // os.MkdirTemp(…, "ctrd-checkpoint") in containerd's plugins/services/tasks/local.go.
    if (!/^ctrd-checkpoint\d+$/.test(name)) continue
    const { birthtimeMs } = await stat(join(hostRoot, 'tmp', name)).catch(() => ({ birthtimeMs: 0 }))
    if (birthtimeMs >= since) folders.push(name)
  }
  if (folders.length === 0) return
  const open = await openFolders(hostRoot)
  for (const name of folders) {
    if (!open.has(name)) await rm(join(hostRoot, 'tmp', name), { recursive: true, force: true })
  }
}

/** Names of the dump folders in which any process of the node has a file open. */
async function openFolders(hostRoot: string): Promise<Set<string>> {
  const names = new Set<string>()
  const proc = join(hostRoot, 'proc')
  for (const pid of (await readdir(proc)).filter((name) => /^\d+$/.test(name))) {
    const descriptors = join(proc, pid, 'fd')
    for (const fd of await readdir(descriptors).catch(() => [])) {
      const target = await readlink(join(descriptors, fd)).catch(() => '')
      const name = /\/(ctrd-checkpoint\d+)(\/|$)/.exec(target)?.[1]
      if (name !== undefined) names.add(name)
    }
  }
  return names
}
