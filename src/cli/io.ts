/** What a command is given of the outside world, so that tests can look at every byte of it. */
import type { Writable } from 'node:stream'

export interface Io {
  stdout: Writable & { isTTY?: boolean; columns?: number }
  stderr: Writable & { isTTY?: boolean; columns?: number }
  /** Wall clock; ages and dates. */
  now(): Date
  /** Catches the next Ctrl-C from now on; the one after it ends the program as usual. */
  catchInterrupt(): AbortSignal
  /** What the user types for this program: `podferry` or `kubectl podferry`. */
  program: string
}

export const say = (stream: Writable, lines: readonly string[]): void => {
  if (lines.length > 0) stream.write(`${lines.join('\n')}\n`)
}
