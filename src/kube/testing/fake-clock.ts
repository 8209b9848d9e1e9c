import type { Clock } from '../clock.ts'

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  readonly #timers = new Map<number, { due: number; callback: () => void }>()
  #now = 0
  #next = 0

  now(): number {
    return this.#now
  }

  date(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#now)
  }

  after(ms: number, callback: () => void): () => void {
    const id = this.#next++
    this.#timers.set(id, { due: this.#now + ms, callback })
    return () => this.#timers.delete(id)
  }

  /** Moves on by `ms`, calling what becomes due in order, and lets promises settle after each call. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const [id, timer] = [...this.#timers].sort(([a, x], [b, y]) => x.due - y.due || a - b)[0] ?? []
      if (id === undefined || timer === undefined || timer.due > end) break
      this.#timers.delete(id)
      this.#now = Math.max(this.#now, timer.due)
      timer.callback()
      await settle()
    }
    this.#now = end
  }
}

/** Lets everything run that waits for promises only. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}
