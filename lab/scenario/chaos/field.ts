/** Where a blow falls: the two nodes of the move, the Migration, and how far it is. */
import type { Migration } from '../../../src/api/migration.ts'
import { MIGRATIONS } from '../../../src/api/resources.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import type { NodeName } from '../../places.ts'
import { hasReached, type Place, placeOf, type Step } from './steps.ts'

export interface Field {
  client: KubeClient
  source: NodeName
  destination: NodeName
  migration: Migration
  /** As the API server has last told. */
  place(): Place
}

export interface Following {
  place(): Place
  /** @throws after a minute */
  reaches(step: Step): Promise<void>
  close(): void
}

const PATIENCE_MS = 60_000

/** Watches a Migration from its creation on: no question has to go to the API server at the moment of the blow. */
export function follow(client: KubeClient, migration: Migration): Following {
  const { namespace, name, resourceVersion } = migration.metadata
  const ended = new AbortController()
  const waiting = new Set<() => void>()
  let place = placeOf(migration.status)

  const watch = async (): Promise<void> => {
    const options = { namespace, fieldSelector: `metadata.name=${name}`, resourceVersion, signal: ended.signal }
    for await (const event of client.watch(MIGRATIONS, options)) {
      if (event.type === 'BOOKMARK') continue
      place = event.type === 'DELETED' ? 'over' : placeOf(event.object.status)
      for (const wake of waiting) wake()
    }
  }
  // A watch that ends with its connection has told enough: the end is read, not watched for.
  watch().catch(() => {})

  return {
    place: () => place,
    async reaches(step) {
      if (hasReached(place, step)) return
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${name} stays ${place} and never is ${step}`)), PATIENCE_MS)
        const wake = () => {
          if (!hasReached(place, step)) return
          clearTimeout(timer)
          waiting.delete(wake)
          resolve()
        }
        waiting.add(wake)
      })
    },
    close: () => ended.abort(),
  }
}

/** @returns the newest place; the last that was heard of when the API server does not answer at once */
export async function placeNow({ client, migration, place }: Field): Promise<Place> {
  const { namespace, name } = migration.metadata
  const answer = await client.get(MIGRATIONS, namespace, name, { timeoutMs: 500 }).catch(() => undefined)
  return answer === undefined ? place() : placeOf(answer.status)
}
