/** An Io whose output is kept, for tests of commands. */
import { Writable } from 'node:stream'
import type { Io } from '../io.ts'
import { at } from './histories.ts'

export interface Captured extends Io {
  out(): string
  err(): string
  /** What Ctrl-C does. */
  interrupt(): void
}

export function captureIo(options: { program?: string; tty?: boolean } = {}): Captured {
  const [out, err]: [string[], string[]] = [[], []]
  const sink = (chunks: string[]) =>
    new Writable({
      write(chunk, _encoding, done) {
        chunks.push(String(chunk))
        done()
      },
    })
  const interrupt = new AbortController()
  return {
    stdout: sink(out),
    stderr: Object.assign(sink(err), options.tty ? { isTTY: true, columns: 100 } : {}),
    now: () => new Date(at(10_000)),
    program: options.program ?? 'podferry',
    catchInterrupt: () => interrupt.signal,
    out: () => out.join(''),
    err: () => err.join(''),
    interrupt: () => interrupt.abort(),
  }
}
