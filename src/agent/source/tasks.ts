/** What takes long, beside the queue: at most one task a Migration, so that an abort is noticed meanwhile. */
import { setTimeout as delay } from 'node:timers/promises'

type TaskKind = 'dump' | 'deliver'

interface Task {
  kind: TaskKind
  abort: AbortController
  done: Promise<void>
}

/** Rejects when the signal aborts. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>

export const pause: Sleep = (ms, signal) => delay(ms, undefined, { ref: false, ...(signal ? { signal } : {}) })

export class Tasks {
  readonly #tasks = new Map<string, Task>()
  readonly #wake: (uid: string) => void
  readonly #onError: (uid: string, kind: TaskKind, error: unknown) => void
  readonly #sleep: Sleep
  /** After a failure the Migration is looked at again, but not in a tight loop. */
  static readonly RETRY_MS = 1_000

  constructor(
    wake: (uid: string) => void,
    onError: (uid: string, kind: TaskKind, error: unknown) => void,
    sleep: Sleep = pause,
  ) {
    this.#wake = wake
    this.#onError = onError
    this.#sleep = sleep
  }

  kind(uid: string): TaskKind | undefined {
    return this.#tasks.get(uid)?.kind
  }

  /** Starts it unless one runs for this Migration already; wakes the Migration when it has ended. */
  start(uid: string, kind: TaskKind, run: (signal: AbortSignal) => Promise<void>): void {
    if (this.#tasks.has(uid)) return
    const abort = new AbortController()
    const done = run(abort.signal)
      .catch(async (error) => {
        if (abort.signal.aborted) return
        this.#onError(uid, kind, error)
        await this.#sleep(Tasks.RETRY_MS, abort.signal).catch(() => undefined)
      })
      .then(() => {
        this.#tasks.delete(uid)
        if (!abort.signal.aborted) this.#wake(uid)
      })
    this.#tasks.set(uid, { kind, abort, done })
  }

  /** Ends a delivery and waits for its end; a dump of mode Image cannot be ended, only waited for. */
  async stop(uid: string): Promise<void> {
    const task = this.#tasks.get(uid)
    task?.abort.abort()
    await task?.done
  }

  /** Ends all deliveries and waits for dumps at most so long. */
  async close(patienceMs: number): Promise<void> {
    for (const { abort } of this.#tasks.values()) abort.abort()
    const all = Promise.all([...this.#tasks.values()].map(({ done }) => done))
    await Promise.race([all, delay(patienceMs, undefined, { ref: false })])
  }
}
