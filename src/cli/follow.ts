/** A Migration as it changes, through cut connections and restarts of the API server. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Migration } from '../api/migration.ts'
import { MIGRATIONS } from '../api/resources.ts'
import { backoffMs } from '../kube/backoff.ts'
import type { KubeClient } from '../kube/client.ts'
import { isExpired, isNotFound, KubeError } from '../kube/error.ts'

interface FollowOptions {
  client: KubeClient
  namespace: string
  name: string
  signal: AbortSignal
  /** Told of each failure that is tried again. */
  onFailure?: (error: KubeError) => void
}

const BACKOFF = { baseMs: 250, maxMs: 5_000 }

/**
 * Yields the Migration as it is now and after each change. Ends when the signal aborts or, after its last state, when it is deleted.
 * @throws KubeError for what waiting cannot mend: no rights, no such kind
 */
export async function* follow({
  client,
  namespace,
  name,
  signal,
  onFailure,
}: FollowOptions): AsyncGenerator<Migration> {
  let failures = 0
  let known = false
  while (!signal.aborted) {
    try {
      const migration = await client.get(MIGRATIONS, namespace, name, { signal })
      failures = 0
      known = true
      yield migration
      const { resourceVersion } = migration.metadata
      const fieldSelector = `metadata.name=${name}`
      for await (const { type, object } of client.watch(MIGRATIONS, {
        namespace,
        fieldSelector,
        resourceVersion,
        signal,
      })) {
        if (type === 'BOOKMARK') continue
        yield object
        if (type === 'DELETED') return
      }
    } catch (error) {
      if (signal.aborted || (known && isNotFound(error))) return
      if (!(error instanceof KubeError) || (error.retry !== 'backoff' && !isExpired(error))) throw error
      onFailure?.(error)
      await sleep(backoffMs(BACKOFF, ++failures, Math.random()), undefined, { signal }).catch(() => undefined)
    }
  }
}
