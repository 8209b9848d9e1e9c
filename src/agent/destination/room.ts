/** Whether the node has room for checkpoints: a disk that fills up in the middle harms every pod of the node. */
import { stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { MigrationStatus } from '../../api/migration.ts'
import type { Pod } from '../../api/pod.ts'
import { parseBytes } from '../../api/quantity.ts'
import { PodferryError } from '../../errors.ts'

/** Where checkpoints pass through, from the root of the node's file system. */
export interface Places {
  hostRoot: string
  /** The runtime's storage: blob, unpacked layer and the copy that is restored from (runtime-contracts 2.4). */
  runtimeRoot: string
  /** The registry's storage: the blob once. */
  registryRoot: string
}

const RUNTIME_COPIES = 3
const REGISTRY_COPIES = 1

/** What the checkpoint will weigh, as far as anybody can know before it is made. */
export function expectedBytes(status: MigrationStatus | undefined, source: Pod | undefined): number {
  const archives = (status?.containers ?? []).map(({ archiveBytes }) => archiveBytes)
  if (archives.length > 0 && archives.every((bytes) => bytes !== undefined)) return sum(archives)
  // What is requested is nearer to what is used than the limit, which may be many times as large.
  const memory = (source?.spec.containers ?? []).map(
    ({ resources }) => resources?.requests?.memory ?? resources?.limits?.memory ?? '0',
  )
  return sum(memory.map((quantity) => parseBytes(quantity) ?? 0))
}

/**
 * @param bytes of the checkpoint
 * @throws PodferryError `DiskTooSmall`, naming folder, need and what is free
 */
export async function checkRoom({ hostRoot, runtimeRoot, registryRoot }: Places, bytes: number): Promise<void> {
  const disks = new Map<number, { folders: string[]; copies: number; free: number }>()
  for (const [path, copies] of [
    [runtimeRoot, RUNTIME_COPIES],
    [registryRoot, REGISTRY_COPIES],
  ] as const) {
    const folder = await nearest(hostRoot, path)
    const [{ dev }, { bavail, bsize }] = await Promise.all([stat(folder), statfs(folder)])
    const disk = disks.get(dev) ?? { folders: [], copies: 0, free: bavail * bsize }
    disks.set(dev, { folders: [...disk.folders, path], copies: disk.copies + copies, free: disk.free })
  }
  for (const { folders, copies, free } of disks.values()) {
    if (free >= copies * bytes) continue
    const message = `${folders.join(', ')} on the destination node: a checkpoint of ${mebibytes(bytes)} is there ${copies} time(s) and needs ${mebibytes(copies * bytes)}, free are ${mebibytes(free)}; free space or choose another node`
    throw new PodferryError({ reason: 'DiskTooSmall', message })
  }
}

/** The registry makes its folder when it starts; until then the disk is its parent's. */
async function nearest(hostRoot: string, path: string): Promise<string> {
  for (let current = path; current !== '/'; current = dirname(current)) {
    const folder = join(hostRoot, current)
    if (await stat(folder).catch(() => undefined)) return folder
  }
  return hostRoot
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const mebibytes = (bytes: number) => `${Math.ceil(bytes / (1024 * 1024))} MiB`
