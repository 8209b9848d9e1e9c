/** A failure that is told to the user as one sentence, without a stack. */
export class LabError extends Error {
  readonly exitCode: number

  constructor(message: string, options: { cause?: unknown; exitCode?: number } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'LabError'
    this.exitCode = options.exitCode ?? 1
  }
}
