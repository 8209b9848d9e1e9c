/** What a pod may do to its files, in any order: many changes make no sense when they come, as in a pod. */
import { execFileSync } from 'node:child_process'
import { chmod, chown, link, lutimes, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import type { startFiles } from './files.ts'

type Do =
  | 'write'
  | 'folder'
  | 'remove'
  | 'move'
  | 'exchange'
  | 'mode'
  | 'owner'
  | 'link'
  | 'symlink'
  | 'fifo'
  | 'whiteout'
export interface Change {
  does: Do | 'truncate' | 'age' | 'note'
  path: string
  other: string
  number: number
}

const WORDS: Change['does'][] = [
  ...(['write', 'write', 'folder', 'folder', 'remove', 'move', 'move', 'exchange', 'mode', 'owner'] as const),
  ...(['link', 'symlink', 'fifo', 'whiteout', 'truncate', 'age', 'note'] as const),
]
/** So few names that they meet. */
const path = fc.array(fc.constantFrom('a', 'b', 'ö'), { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
const change: fc.Arbitrary<Change> = fc.record({
  does: fc.constantFrom(...WORDS),
  path,
  other: path,
  number: fc.nat(100_000),
})
/** Folders first, so that most of what follows finds its place. */
export const changes = (max: number): fc.Arbitrary<Change[]> =>
  fc.array(change, { minLength: max / 4, maxLength: max, size: 'max' })

/** @returns whether it made sense */
export async function make(files: ReturnType<typeof startFiles>, folder: string, change: Change): Promise<boolean> {
  const [at, other] = [join(folder, change.path), join(folder, change.other)]
  try {
    await effects[change.does]({ files, at, other, number: change.number })
    return true
  } catch {
    return false
  }
}

interface Where {
  files: ReturnType<typeof startFiles>
  at: string
  other: string
  number: number
}

const effects: Record<Change['does'], (where: Where) => Promise<unknown>> = {
  // Never through a fifo, where nobody reads: that would wait for ever.
  write: async ({ at, number }) => {
    await rm(at, { force: true })
    await writeFile(at, `${number}`.repeat(number % 3_000))
  },
  truncate: ({ at, number }) => truncate(at, number * 50),
  folder: ({ at }) => mkdir(at, { recursive: true }),
  remove: ({ at }) => rm(at, { recursive: true }),
  move: ({ at, other }) => rename(at, other),
  exchange: async ({ at, other }) => {
    await rename(at, `${at}-aside`)
    await rename(other, at).catch(() => {})
    await rename(`${at}-aside`, other)
  },
  mode: ({ at, number }) => chmod(at, number & 0o7777),
  owner: ({ at, number }) => chown(at, number, 100_000 - number),
  link: ({ at, other }) => link(at, other),
  symlink: ({ at, other }) => symlink(other, at),
  fifo: async ({ at }) => void execFileSync('mkfifo', [at], { stdio: 'ignore' }),
  whiteout: async ({ at }) => void execFileSync('mknod', [at, 'c', '0', '0'], { stdio: 'ignore' }),
  // An old mtime on a changed file: ctime tells.
  age: ({ at, number }) => lutimes(at, 1_000_000_000 + number, 1_000_000_000 + number / 7),
  note: ({ files, at, number }) => files.set(at, 'trusted.note', String(number)),
}
