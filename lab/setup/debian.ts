/** Debian trees made by debootstrap from the mirror that the machine's own apt uses. */
import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type CacheEntry, rebuild } from '../cache.ts'
import { readIfThere } from '../files.ts'
import { LabError } from '../lab-error.ts'
import { run } from '../run.ts'
import { DEBIAN_SUITE } from '../versions.ts'

const SCRIPTS = '/usr/share/debootstrap/scripts'

/** @returns the entry of a tree with these packages. */
export function debianEntry(name: string, packages: readonly string[]): CacheEntry {
  const list = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 16)
  return { name, stamp: `${DEBIAN_SUITE} ${process.arch} ${list}` }
}

/**
 * Finds the Debian mirror in the texts of apt's sources, deb822 (`*.sources`) or one-line (`*.list`).
 * The first whose address ends in /debian wins: security and third-party archives have other names.
 */
export function findMirror(sources: readonly string[]): string | undefined {
  for (const text of sources)
    for (const line of text.split('\n')) {
      const found = /^(?:URIs:|deb)\s.*?(https?:\/\/\S+\/debian\/?)(?=\s|$)/.exec(line.trim())
      if (found?.[1] !== undefined) return found[1]
    }
  return undefined
}

async function hostMirror(): Promise<string> {
  const folder = '/etc/apt/sources.list.d'
  const names = await readdir(folder).catch(() => [])
  const texts = await Promise.all(names.sort().map((name) => readFile(join(folder, name), 'utf8')))
  const mirror = findMirror([...texts, (await readIfThere('/etc/apt/sources.list')) ?? ''])
  if (mirror === undefined) throw new LabError('no Debian mirror in /etc/apt: add one to /etc/apt/sources.list.d')
  return mirror
}

/** @param packages besides Debian's minimum. */
export async function makeDebianTree(entry: CacheEntry, packages: readonly string[]): Promise<void> {
  const mirror = await hostMirror()
  await rebuild(entry, async (folder) => {
    // An older debootstrap has no script for a newer suite; all of them are sid's.
    const include = `--include=${packages.join(',')}`
    const command = ['debootstrap', '--variant=minbase', include, DEBIAN_SUITE, folder, mirror, join(SCRIPTS, 'sid')]
    // In mounts of its own: a killed debootstrap leaves none, which a later removal of the folder would walk into.
    await run(['unshare', '--mount', '--propagation', 'private', '--', ...command])
    await rm(join(folder, 'var/cache/apt/archives'), { recursive: true, force: true })
    await rm(join(folder, 'var/lib/apt/lists'), { recursive: true, force: true })
  })
}
