/** The progress display of a terminal: redrawn in place, at most five times a second; the last frame stays. */
import { stripVTControlCharacters, styleText } from 'node:util'
import type { Io } from '../io.ts'
import type { FrameLine } from './progress.ts'

const REDRAW_MS = 200
const SIGNS = { done: '✔', failed: '✘', running: '', waiting: '·', skipped: '·' } as const
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const
const COLOURS = { done: 'green', failed: 'red', running: 'cyan', waiting: 'dim', skipped: 'dim' } as const

export class Screen {
  readonly #stream: Io['stderr']
  readonly #frame: () => readonly FrameLine[]
  readonly #timer: NodeJS.Timeout
  #height = 0
  #tick = 0

  /** @param frame asked for each redraw */
  constructor(stream: Io['stderr'], frame: () => readonly FrameLine[]) {
    this.#stream = stream
    this.#frame = frame
    this.#draw()
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS)
  }

  /** Draws the last frame and leaves it there. */
  close(): void {
    clearInterval(this.#timer)
    this.#draw()
  }

  #draw(): void {
    const rows = this.#frame().map((line) => formatLine(line, this.#tick, this.#stream))
    const shown = rows.map((row) => cut(row, this.#stream.columns ?? 80))
    const up = this.#height > 0 ? `\u001b[${this.#height}A` : ''
    this.#stream.write(`${up}\r\u001b[J${shown.map((row) => `${row}\n`).join('')}`)
    this.#height = shown.length
    this.#tick++
  }
}

function formatLine({ state, title, time, detail }: FrameLine, tick: number, stream: Io['stderr']): string {
  const sign = state === 'running' ? (SPINNER[tick % SPINNER.length] ?? '') : SIGNS[state]
  const text = `${sign} ${title.padEnd(14)}${time.padStart(8)}  ${detail}`.trimEnd()
  return styleText(COLOURS[state], text, { stream })
}

/** A line that wraps would spoil the way back up; one that is cut loses its colours too. */
function cut(row: string, columns: number): string {
  const plain = stripVTControlCharacters(row)
  return plain.length < columns ? row : `${plain.slice(0, columns - 2)}…`
}
