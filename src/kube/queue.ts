import { type Backoff, backoffMs } from './backoff.ts'
import { type Clock, systemClock } from './clock.ts'

interface QueueOptions {
  /**
   * Handles one key. A number returned means: again after so many milliseconds. Rejecting means: again after the key's back-off.
   * The signal aborts when the queue is told to stop at once.
   */
  process: (key: string, signal: AbortSignal) => Promise<number | undefined>
  /** Told of every rejection, for logs and metrics. */
  onError: (key: string, error: unknown, failures: number, retryMs: number) => void
  /** Keys handled at one time. Default 1. */
  concurrency?: number
  /** Default 200 ms doubling to 60 s. */
  backoff?: Backoff
  clock?: Clock
  random?: () => number
}

/**
 * Work by key: a key waits at most once, is never handled twice at one time, and a key added while it is handled is handled again.
 * Adding loses nothing: between an `add` and the quiet queue, the key's handling has begun at least once.
 */
export class WorkQueue {
  readonly #options: QueueOptions
  readonly #clock: Clock
  readonly #concurrency: number
  /** Waiting for a free place, first come first served. */
  readonly #ready = new Set<string>()
  readonly #running = new Set<string>()
  /** Added again while running. */
  readonly #again = new Set<string>()
  readonly #timers = new Map<string, { due: number; cancel: () => void }>()
  readonly #failures = new Map<string, number>()
  readonly #stop = new AbortController()
  #closed = false
  #drained: (() => void)[] = []

  constructor(options: QueueOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#concurrency = options.concurrency ?? 1
  }

  /** Keys waiting for a place, not counting those whose time has not come. */
  get length(): number {
    return this.#ready.size
  }

  add(key: string): void {
    if (this.#closed) return
    if (this.#running.has(key)) this.#again.add(key)
    else this.#ready.add(key)
    this.#dispatch()
  }

  /** Adds the key after `ms`. Of several such times for one key the soonest wins. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return
    const due = this.#clock.now() + ms
    const known = this.#timers.get(key)
    if (known !== undefined && known.due <= due) return
    known?.cancel()
    const cancel = this.#clock.after(ms, () => {
      this.#timers.delete(key)
      this.add(key)
    })
    this.#timers.set(key, { due, cancel })
  }

  /** Takes no more keys and resolves when those that wait or run are done. Keys whose time has not come are forgotten. */
  drain(): Promise<void> {
    this.#closed = true
    for (const { cancel } of this.#timers.values()) cancel()
    this.#timers.clear()
    if (this.#isIdle()) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  /** As drain, but waiting keys are forgotten too and the running ones are told by their signal: leadership is lost. */
  stop(): Promise<void> {
    this.#ready.clear()
    this.#again.clear()
    const drained = this.drain()
    this.#stop.abort()
    return drained
  }

  #dispatch(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#concurrency) return
      this.#ready.delete(key)
      this.#running.add(key)
      void this.#run(key)
    }
  }

  async #run(key: string): Promise<void> {
    try {
      // A microtask later, so that `add` never runs the caller's code inside its own call.
      await null
      const again = await this.#options.process(key, this.#stop.signal)
      this.#failures.delete(key)
      if (again !== undefined) this.addAfter(key, again)
    } catch (error) {
      this.#retry(key, error)
    } finally {
      this.#running.delete(key)
      if (this.#again.delete(key)) this.#ready.add(key)
      this.#dispatch()
      if (this.#closed && this.#isIdle()) for (const resolve of this.#drained.splice(0)) resolve()
    }
  }

  #retry(key: string, error: unknown): void {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    const backoff = this.#options.backoff ?? { baseMs: 200, maxMs: 60_000 }
    const retryMs = backoffMs(backoff, failures, (this.#options.random ?? Math.random)())
    this.addAfter(key, retryMs)
    this.#options.onError(key, error, failures, retryMs)
  }

  #isIdle(): boolean {
    return this.#ready.size === 0 && this.#running.size === 0
  }
}
