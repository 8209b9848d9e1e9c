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
const TOLD_BYTES = 2_000

interface Tar {
  /** What tar writes to standard output. */
  output: Readable
  /**
   * Settles when tar is gone, with what it said on standard error.
   *
   * @throws PodferryError `CopyFailed` with that, when it ends with a code that is not accepted; the signal's reason
   */
  done: Promise<{ code: number; said: string }>
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
  const child = spawn('tar', args, { env: ENVIRONMENT, stdio: ['pipe', 'pipe', 'pipe'] })
  const kill = () => void child.kill('SIGKILL')
  if (signal?.aborted) kill()
  signal?.addEventListener('abort', kill, { once: true })
  // A reader that has left is told by its exit.
  child.stdin.on('error', () => {})
  if (input === undefined) child.stdin.end()
  else input.pipe(child.stdin)
  const told = text(child.stderr)
  // Also after a kill: whoever works on the same folder next must find nobody there.
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'))
  })
  const done = ended
    .finally(() => signal?.removeEventListener('abort', kill))
    .then(async (code) => {
      const said = await told
      signal?.throwIfAborted()
      if (typeof code === 'number' && accepted.includes(code)) return { code, said }
      const message = `tar ended with ${code}: ${said.slice(-TOLD_BYTES).trim() || 'it said nothing'}`
      throw new PodferryError({ reason: 'CopyFailed', message, retry: 'backoff' })
    })
  // Whoever takes the output may look at the end only later.
  done.catch(() => {})
  return { output: child.stdout, done }
}

/**
 * @param said by a tar that ended with 1, in the C locale
 * @returns names of what it has not read, as it knows them; undefined when it said anything that is not understood
 */
export function unreadNames(said: string): string[] | undefined {
  const names: string[] = []
  for (const line of said.split('\n')) {
    const [, name] = /^tar: (.+): File removed before we read it$/.exec(line) ?? []
    if (name !== undefined) {
      const plain = name.replace(/\\([:\\])/g, '$1').replace(/\/$/, '')
      // Bytes beyond ASCII are written as octal digits: too rare to be read.
      if (/\\[^:\\]/.test(name.replaceAll('\\\\', ''))) return undefined
      names.push(plain)
    } else if (!HARMLESS.test(line)) return undefined
  }
  return names
}

/** Each of these files bears a new mtime or ctime, or never travels. */
const HARMLESS =
  /^(|tar: .+: (file changed as we read it|File shrank by \d+ bytes?; padding with zeros|socket ignored|door ignored))$/
