import type { Clock } from './clock.ts'
import { KubeError } from './error.ts'

interface DeadlineOptions {
  /** What is being done, for the message: method and path. */
  what: string
  timeoutMs: number
  signal?: AbortSignal | undefined
  clock: Clock
}

/** Ends one request when its time is up or when the caller says so, and knows which of the two it was. */
export class Deadline {
  readonly #options: DeadlineOptions
  readonly #controller = new AbortController()
  readonly #onAbort = () => this.#controller.abort()
  readonly #cancelTimer: () => void
  #timedOut = false

  constructor(options: DeadlineOptions) {
    this.#options = options
    this.#cancelTimer = options.clock.after(options.timeoutMs, () => {
      this.#timedOut = true
      this.#controller.abort()
    })
    if (options.signal?.aborted) this.#controller.abort()
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** From here on only the caller's signal ends the request: a stream's headers have come. */
  stopTimer(): void {
    this.#cancelTimer()
  }

  /** The request is over. */
  settle(): void {
    this.#cancelTimer()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }

  /** The error to throw for a failure below HTTP. */
  error(cause: unknown): KubeError {
    const { what, timeoutMs } = this.#options
    if (this.#timedOut) {
      const message = `${what}: no answer within ${timeoutMs} ms; is the API server reachable from here?`
      return new KubeError({ status: 0, reason: 'Timeout', message, cause })
    }
    if (this.#controller.signal.aborted) {
      return new KubeError({ status: 0, reason: 'Aborted', message: `${what}: given up by the caller`, cause })
    }
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = `${what}: no answer from the API server: ${why}; check its address and the network`
    return new KubeError({ status: 0, reason: 'Unreachable', message, cause })
  }
}
