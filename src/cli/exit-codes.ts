/** What the program's exit status says; scripts may rely on it. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  migrationFailed: 3,
  timedOut: 4,
  blocked: 5,
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A mistake in the command line: told in one sentence, exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
