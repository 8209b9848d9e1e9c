/** Exponential back-off: `baseMs`, doubled with every further failure, never above `maxMs`. */
export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
}

/**
 * The wait before the next try in milliseconds, with "equal jitter": between half and all of the exponential value,
 * so that many clients cut at one moment do not come back at one moment.
 * @param failures how many times in a row it has failed, from 1
 * @param random a number in [0, 1)
 */
export function backoffMs(backoff: Backoff, failures: number, random: number): number {
  const exponent = Math.min(Math.max(failures, 1) - 1, 30)
  const full = Math.min(backoff.maxMs, backoff.baseMs * 2 ** exponent)
  return full / 2 + (full / 2) * random
}
