/**
 * The catalogue of everything podferry may tell a user went wrong.
 *
 * `reason` is the CamelCase word that goes into a condition, an event and the CLI's exit message.
 * `retry` says what may make the same call succeed: waiting (`backoff`), a changed request (`afterChange`), or nothing (`never`).
 */
type Retry = 'never' | 'backoff' | 'afterChange'

interface PodferryErrorOptions {
  /** One CamelCase word, stable across releases. */
  reason: string
  /** What happened, which field or setting it concerns, and the remedy. */
  message: string
  retry?: Retry
  cause?: unknown
  /** CRIU's own `Error (` lines, if CRIU said something. */
  criuLog?: readonly string[]
}

/** An error whose reason and message are fit for a condition. */
export class PodferryError extends Error {
  readonly reason: string
  readonly retry: Retry
  readonly criuLog: readonly string[]

  constructor(options: PodferryErrorOptions) {
    super(options.message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'PodferryError'
    this.reason = options.reason
    this.retry = options.retry ?? 'never'
    this.criuLog = options.criuLog ?? []
  }
}
