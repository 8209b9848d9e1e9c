/** Waiting with a deadline, for things that happen elsewhere. */
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks again and again until the answer is truthy. An error counts as "not yet" and is told when time is up.
 *
 * @param what completes "waited in vain until …"
 * @throws Error after `timeoutMs`
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
  everyMs = 100,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer) return answer
      last = answer
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause: last })
    await sleep(everyMs)
  }
}
