/** GNU tar as a child process: the one program that knows sparse files, hard links, xattrs, ACLs, devices and deletions. */
import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { PodferryError } from '../../../errors.ts'

/** overlayfs' own notes about the layer below are of that layer on that node; `opaque` and whiteouts are contents. */
const NOTES_OF_OVERLAY = ['origin', 'impure', 'nlink', 'uuid', 'protattr'].flatMap((name) => [
  `--xattrs-exclude=trusted.overlay.${name}`,
  `--xattrs-exclude=user.overlay.${name}`,
])

/** For archives and extraction alike: everything that a file is. */
export const WHOLE_FILES = ['--xattrs', '--xattrs-include=*', ...NOTES_OF_OVERLAY, '--acls', '--numeric-owner']

const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }
const SAID_BYTES = 2_000

interface Tar {
  /** What tar writes to standard output. */
  output: Readable
  /** @throws PodferryError `CopyFailed` with what tar said, when it ends with a code that is not accepted */
  done: Promise<void>
}

/**
 * @param input goes to tar's standard input
 * @param accepted exit codes that count as well done
 * @param signal kills tar
 */
export function runTar(
  args: readonly string[],
  { input, accepted = [0], signal }: { input?: Readable; accepted?: readonly number[]; signal?: AbortSignal } = {},
): Tar {
  const child = spawn('tar', args, {
    env: ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(signal ? { signal, killSignal: 'SIGKILL' } : {}),
  })
  // Killed tars are told by their exit; a reader that left by the broken pipe.
  child.stdin.on('error', () => {})
  if (input === undefined) child.stdin.end()
  else input.pipe(child.stdin)
  const said = text(child.stderr)
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'))
  })
  const done = ended.then(async (code) => {
    signal?.throwIfAborted()
    if (typeof code === 'number' && accepted.includes(code)) return
    const message = `tar ended with ${code}: ${(await said).slice(-SAID_BYTES).trim() || 'it said nothing'}`
    throw new PodferryError({ reason: 'CopyFailed', message, retry: 'backoff' })
  })
  // Whoever takes the output may look at the end only later.
  done.catch(() => {})
  return { output: child.stdout, done }
}
