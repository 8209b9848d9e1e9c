/** Real files for tests: what Node can't do is done by a Python process, see files.py. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after } from 'node:test'

type Listing = Record<string, Record<string, unknown>>

/** Why tests with real owners, devices and xattrs can't run here; false when they can. */
export const CANNOT: string | false = (() => {
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    execFileSync('python3', ['-c', 'import hashlib; hashlib.file_digest'], { stdio: 'ignore' })
    return false
  } catch {
    return 'needs python3 from 3.11 on'
  }
})()

/** A disk folder and a tmpfs, both with trusted xattrs. */
export const DISK = '/var/tmp'
export const MEMORY = '/dev/shm'

/** @returns a helper that lives until the tests of this file are over */
export function startFiles() {
  const child = spawn('python3', [join(import.meta.dirname, 'files.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
  after(() => void child.kill())
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]()
  let last: Promise<unknown> = Promise.resolve()
  const ask = <T>(request: object): Promise<T> => {
    const mine = last.then(async () => {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const { answer, error } = JSON.parse((await answers.next()).value ?? '{"error":"files.py has ended"}')
      if (error !== undefined) throw new Error(error)
      return answer as T
    })
    last = mine.catch(() => {})
    return mine
  }
  return {
    /** Everything that a file is, by its name; empty sockets are left out. */
    list: (path: string) => ask<Listing>({ do: 'list', path }),
    set: (path: string, name: string, value: string | Buffer) =>
      ask<null>({ do: 'set', path, name, value: Buffer.from(value).toString('hex') }),
    unset: (path: string, name: string) => ask<null>({ do: 'unset', path, name }),
    poke: (path: string, at: number, byte: number) => ask<null>({ do: 'poke', path, at, byte }),
  }
}

/** @returns folders `from`, `to` and `notes` in a new one that goes when it is disposed */
export async function threeFolders(parent: string) {
  const folder = await mkdtemp(join(parent, 'podferry-files-'))
  const [from, to, notes] = ['from', 'to', 'notes'].map((name) => join(folder, name)) as [string, string, string]
  for (const path of [from, to, notes]) execFileSync('mkdir', [path])
  return { folder, from, to, notes, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
