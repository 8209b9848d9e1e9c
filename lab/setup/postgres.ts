/** PostgreSQL in a Debian tree of its own: the lab's machines do not need what it needs. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CacheEntry, cachePath, isFresh, rebuild } from '../cache.ts'
import { LabError } from '../lab-error.ts'
import { run } from '../run.ts'
import { debianEntry, makeDebianTree } from './debian.ts'

const PACKAGES = ['postgresql'] as const
const TREE = debianEntry('postgres', PACKAGES)

const SOURCE = join(import.meta.dirname, '..', 'images/not-root.c')
const LIBRARY = 'not-root.so'

async function libraryEntry(): Promise<CacheEntry> {
  const source = createHash('sha256').update(await readFile(SOURCE))
  return { name: 'not-root', stamp: `${process.arch} ${source.digest('hex')}` }
}

interface PostgresFiles {
  /** The tree, on this machine. */
  tree: string
  /** Changes with its contents. */
  stamp: string
  /** From the root of the tree: what needs libraries of the tree. */
  programs: readonly string[]
  /** From the root of the tree: where its programs look for everything else. */
  share: string
  /** From the root of the tree. */
  bin: string
  /** To be preloaded, on this machine. */
  library: string
}

export const postgresIsReady = async (): Promise<boolean> =>
  (await isFresh(TREE)) && (await isFresh(await libraryEntry()))

/** Makes the tree and compiles what is preloaded; nothing when both are there. */
export async function fetchPostgres(): Promise<void> {
  if (!(await isFresh(TREE))) await makeDebianTree(TREE, PACKAGES)
  const entry = await libraryEntry()
  if (await isFresh(entry)) return
  await rebuild(entry, async (folder) => {
    await run(['gcc', '-O2', '-Wall', '-Werror', '-shared', '-fPIC', '-nostdlib', '-o', join(folder, LIBRARY), SOURCE])
  })
}

/** @throws LabError when it was not fetched */
export async function postgresFiles(): Promise<PostgresFiles> {
  if (!(await postgresIsReady())) throw new LabError('PostgreSQL was not fetched: run bin/lab setup')
  const tree = cachePath(TREE)
  const [version = ''] = await readdir(join(tree, 'usr/lib/postgresql'))
  const [bin, lib] = [`/usr/lib/postgresql/${version}/bin`, `/usr/lib/postgresql/${version}/lib`]
  const programs = [
    ...['initdb', 'postgres', 'psql'].map((name) => `${bin}/${name}`),
    // Loaded by every new cluster.
    ...['dict_snowball', 'plpgsql'].map((name) => `${lib}/${name}.so`),
  ]
  const entry = await libraryEntry()
  const library = join(cachePath(entry), LIBRARY)
  return {
    tree,
    stamp: `${TREE.stamp} ${entry.stamp}`,
    programs,
    share: `/usr/share/postgresql/${version}`,
    bin,
    library,
  }
}
