/**
 * Waits for all of them, then throws what the first in the list threw: what still runs after a failure would run into its clean-up.
 *
 * @returns the results in order
 */
export async function allSettled<T extends readonly unknown[]>(
  promises: {
    readonly [K in keyof T]: Promise<T[K]>
  },
): Promise<T> {
  const results = await Promise.allSettled(promises)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  }) as unknown as T
}
