/**
 * Files on their way out: everything while the pod runs (level 0), what has changed once it stands still (level 1).
 *
 * Level 1 is tar's incremental archive: it lists each folder's names, so that deletions arrive too, and holds every file whose
 * mtime or ctime is not older than level 0's beginning. It only reads what level 0 has noted, so it can be repeated.
 */
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { forgetOtherNames } from './links.ts'
import type { SourceRoot } from './roots.ts'
import { forgetMoved, forgetUnread, readSnapshot, type Snapshot, writeSnapshot } from './snapshot.ts'
import { runTar, unreadNames, WHOLE_FILES } from './tar.ts'

export interface Packed {
  /** A tar archive. It ends only when all was packed well, and breaks off otherwise. */
  body: Readable
  /** Settles when all was packed; rejects with what tar said. */
  done: Promise<void>
}

/** A file has changed or gone under tar. */
const CHANGED_WHILE_READ = 1

/** The kernel's time stamps lag behind its clock by up to a tick; a whole second costs nothing. */
const CLOCK_SLACK_S = 1

const exec = promisify(execFile)

/** @param snapshots folder where tar keeps in mind what level 0 has copied, as this process sees it */
export function packFiles({ root, snapshots, level }: { root: SourceRoot; snapshots: string; level: 0 | 1 }): Packed {
  const memory = (of: 0 | 1) => join(snapshots, `${root.root.replace(':', '-')}.level-${of}.snar`)
  if (level === 1) return packed((body) => changes(root, memory(0), memory(1), body))
  // In memory file systems there is no write-back, so a page that a process has mapped is never protected again: it can be
  // written without a trace in mtime. Everything is taken once nothing runs.
  if (root.medium === 'memory') return packed(async (body) => void body.write(EMPTY_ARCHIVE))
  return packed((body) => everything(root.folder, memory(0), body))
}

/** Two blocks of zeros end every archive; these are all. */
const EMPTY_ARCHIVE = Buffer.alloc(1024)

function packed(pack: (body: PassThrough) => Promise<void>): Packed {
  const body = new PassThrough({ highWaterMark: 1 << 20 })
  // Whoever reads it hears of errors all the same; nobody may be reading yet.
  body.on('error', () => {})
  const done = pack(body).then(
    () => void body.end(),
    (error) => {
      body.destroy(error)
      throw error
    },
  )
  done.catch(() => {})
  return { body, done }
}

async function archive(args: readonly string[], body: PassThrough, accepted: readonly number[] = [0]) {
  const { output, done } = runTar(args, { accepted })
  // A tar that fails has ended its output too, so the end of the archive waits for its word.
  const [ended] = await Promise.all([done, pipeline(output, body, { end: false })])
  return ended
}

const incremental = (folder: string, memory: string) => [
  ...['--create', '--file=-', `--directory=${folder}`, `--listed-incremental=${memory}`, '--no-check-device'],
  ...['--one-file-system', '--sparse', '--format=posix', '--quoting-style=escape', ...WHOLE_FILES, '.'],
]

async function everything(folder: string, memory: string, body: PassThrough): Promise<void> {
  const draft = `${memory}.draft`
  // With a memory of an earlier try this would be an increment to it.
  await Promise.all([rm(draft, { force: true }), rm(memory, { force: true })])
  const beganMs = Date.now()
  await writeFile(bootOf(memory), String(bootMs()), { mode: 0o600 })
  // A page that was dirtied through a shared mapping before the copy would not change mtime when it is written again: write-back
  // protects it, so that the next write is seen. One that is written during the write-back bears a time after its beginning.
  await exec('sync', ['--file-system', folder])
  const { code, said } = await archive(incremental(folder, draft), body, [0, CHANGED_WHILE_READ])
  const noted = await readSnapshot(draft)
  if (noted === undefined) throw new Error(`tar has not written ${draft}`)
  // Tar has noted its own start: too late, see above.
  const since = { seconds: Math.floor(beganMs / 1000) - CLOCK_SLACK_S, nanoseconds: 0 }
  const unread = code === CHANGED_WHILE_READ ? unreadNames(said) : []
  const known = unread === undefined ? { ...noted, folders: [] } : forgetUnread(noted, unread)
  await writeSnapshot(memory, { ...known, ...since })
  await rm(draft)
}

async function changes(root: SourceRoot, before: string, memory: string, body: PassThrough): Promise<void> {
  const known = root.medium === 'memory' ? undefined : await stillTrue(before, root.folder)
  // Without a memory tar takes everything, and still lists names, so that what an earlier try has left over goes.
  if (known === undefined) await rm(memory, { force: true })
  else await writeSnapshot(memory, known)
  await archive(incremental(root.folder, memory), body)
}

async function stillTrue(memory: string, folder: string): Promise<Snapshot | undefined> {
  const noted = await readSnapshot(memory)
  if (noted === undefined) return undefined
  const wasMs = Number(await readFile(bootOf(memory), 'utf8'))
  // When the clock was set back, files that have changed since may look old.
  const isSetBack = !(bootMs() > wasMs - (CLOCK_SLACK_S * 1000) / 2)
  return isSetBack ? undefined : forgetOtherNames(forgetMoved(noted, folder), folder)
}

const bootOf = (memory: string) => `${memory}.boot`

/** When the node was started, by its clock of now: moves only when that clock is set. */
const bootMs = () => Date.now() - uptime() * 1000
