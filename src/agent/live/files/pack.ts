/**
 * Files on their way out: everything while the pod runs (level 0), what has changed once it stands still (level 1).
 *
 * Level 1 is tar's incremental archive: it lists each folder's names, so that deletions arrive too, and holds every file whose
 * mtime or ctime is not older than level 0's beginning.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import type { SourceRoot } from './roots.ts'
import { runTar, WHOLE_FILES } from './tar.ts'

export interface Packed {
  /** A tar archive. */
  body: Readable
  /** Settles when all was packed; rejects with what tar said. */
  done: Promise<void>
}

/** Sockets are made anew by CRIU; a file that changes under tar is taken again by level 1. */
const CHANGED_WHILE_READ = 1

/** The kernel's time stamps lag behind its clock by up to a tick; a whole second costs nothing. */
const CLOCK_SLACK_S = 1

const exec = promisify(execFile)

/** @param snapshots folder where tar keeps in mind what level 0 has copied, as this process sees it */
export function packFiles({ root, snapshots, level }: { root: SourceRoot; snapshots: string; level: 0 | 1 }): Packed {
  const memory = join(snapshots, `${root.root.replace(':', '-')}.snar`)
  // In memory file systems there is no write-back, so a page that a process has mapped is never protected again: it can be
  // written without a trace in mtime. Everything is taken once nothing runs.
  const whole = () =>
    archive(root.folder, { memory: `${memory}.whole`, before: () => rm(`${memory}.whole`, { force: true }) })
  if (root.medium === 'memory') return level === 0 ? emptyArchive() : whole()
  // With a memory of an earlier try, level 0 would be an increment to it.
  if (level === 0) return archive(root.folder, { memory, running: true, before: () => rm(memory, { force: true }) })
  const again = `${memory}.1`
  // A renamed folder can be renamed only once: when the first level 1 may have arrived, everything is sent.
  if (existsSync(again)) return whole()
  return archive(root.folder, { memory: again, before: () => copyFile(memory, again) })
}

/** A folder as it is. */
export function packFolder(folder: string): Packed {
  const { output, done } = runTar(['--create', '--file=-', `--directory=${folder}`, '--sparse', '.'])
  return { body: output, done }
}

interface ArchiveOptions {
  memory: string
  /** The pod runs meanwhile. */
  running?: true
  before?: () => Promise<void>
}

function archive(folder: string, { memory, running, before }: ArchiveOptions): Packed {
  const body = new PassThrough({ highWaterMark: 1 << 20 })
  const pack = async () => {
    await before?.()
    // A page that was dirtied through a shared mapping before the copy would not change mtime when it is written again: write-back
    // protects it, so that the next write is seen.
    if (running) await exec('sync', ['--file-system', folder])
    const { output, done } = runTar(
      ['--create', '--file=-', `--directory=${folder}`, `--listed-incremental=${memory}`]
        .concat(['--no-check-device', '--one-file-system', '--sparse', '--format=posix', ...WHOLE_FILES])
        .concat(['.']),
      { accepted: running ? [0, CHANGED_WHILE_READ] : [0] },
    )
    await Promise.all([pipeline(output, body), done])
    if (running) await setBack(memory)
  }
  const done = pack().catch((error) => {
    body.destroy(error)
    throw error
  })
  done.catch(() => {})
  return { body, done }
}

/**
 * Level 1 takes what was changed since level 0 began, as tar has noted it in the second field of its memory (format 2: version line,
 * then seconds and nanoseconds as decimal text, each followed by a zero byte). A write a moment later may bear a time before that.
 */
async function setBack(memory: string): Promise<void> {
  const bytes = await readFile(memory)
  const line = bytes.indexOf('\n') + 1
  const end = bytes.indexOf(0, line)
  const head = bytes.subarray(0, line).toString('latin1')
  const seconds = Number(bytes.subarray(line, end).toString('latin1'))
  if (!/^GNU tar-.*-2\n$/.test(head) || !Number.isSafeInteger(seconds))
    throw new Error(`${memory} is not tar's memory of format 2`)
  const earlier = Buffer.from(`${head}${seconds - CLOCK_SLACK_S}`, 'latin1')
  await writeFile(memory, Buffer.concat([earlier, bytes.subarray(end)]), { mode: 0o600 })
}

/** Two blocks of zeros end every archive; these are all. */
function emptyArchive(): Packed {
  const body = new PassThrough()
  body.end(Buffer.alloc(1024))
  return { body, done: Promise.resolve() }
}
