import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits for a condition that something else brings about.
 * @throws Error naming `what` when it does not hold within `timeoutMs`
 */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 5_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(2)
  }
}
