/** Stamped folders below the cache: complete and of the pinned versions, or not there. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readIfThere } from './files.ts'
import { CACHE } from './places.ts'

export interface CacheEntry {
  /** Path below the cache. */
  name: string
  /** Everything the content depends on; another stamp means another build. */
  stamp: string
}

export function cachePath(entry: CacheEntry): string {
  return join(CACHE, entry.name)
}

export async function isFresh(entry: CacheEntry): Promise<boolean> {
  return (await readIfThere(join(cachePath(entry), '.stamp'))) === entry.stamp
}

/** Builds beside the entry's place and renames: a killed build is never taken for a complete one. */
export async function rebuild(entry: CacheEntry, build: (folder: string) => Promise<void>): Promise<void> {
  const place = cachePath(entry)
  const beside = `${place}.partial`
  const former = `${place}.former`
  await mkdir(dirname(place), { recursive: true })
  await rm(beside, { recursive: true, force: true })
  await mkdir(beside)
  await build(beside)
  await writeFile(join(beside, '.stamp'), entry.stamp)
  await rm(former, { recursive: true, force: true })
  await rename(place, former).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await rename(beside, place)
  await rm(former, { recursive: true, force: true })
}
