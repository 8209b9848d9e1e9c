/** Whether the node has room for a dump: a disk that fills up in the middle harms every pod of the node. */
import { existsSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { PodferryError } from '../../errors.ts'
import { dumpFolders } from './archives.ts'

/** Process metadata, logs and headers that come on top of the memory itself. */
const OVERHEAD_BYTES = 32 * 1024 * 1024

/**
 * @param memoryBytes what the pod uses now
 * @throws PodferryError `DiskTooSmall`, naming folder, need and what is free
 */
export async function checkDisk(hostRoot: string, kubeletRoot: string, memoryBytes: number): Promise<void> {
  const disks = new Map<number, { folders: string[]; copies: number; free: number }>()
  for (const { path, copies } of dumpFolders(kubeletRoot, (path) => existsSync(join(hostRoot, path)))) {
    const { dev } = await stat(join(hostRoot, path))
    const { bavail, bsize } = await statfs(join(hostRoot, path))
    const disk = disks.get(dev) ?? { folders: [], copies: 0, free: bavail * bsize }
    if (!disk.folders.includes(path)) disk.folders.push(path)
    disk.copies += copies
    disks.set(dev, disk)
  }
  for (const { folders, copies, free } of disks.values()) {
    const needed = copies * (memoryBytes + OVERHEAD_BYTES)
    if (free >= needed) continue
    throw new PodferryError({
      reason: 'DiskTooSmall',
      message: `${folders.join(', ')} on the source node: a dump of ${mebibytes(memoryBytes)} writes it ${copies} time(s) there and needs ${mebibytes(needed)}, free are ${mebibytes(free)}; free space or choose mode Live`,
    })
  }
}

const mebibytes = (bytes: number) => `${Math.ceil(bytes / (1024 * 1024))} MiB`
