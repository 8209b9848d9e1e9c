/** The claim: a creation is taken for one Migration, by a write that only one creation can make. */
import type { Migration } from '../../api/migration.ts'
import type { Pod } from '../../api/pod.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isConflict, isNotFound } from '../../kube/error.ts'
import { waitingFor } from './replacement.ts'
import type { Creation } from './review.ts'

/** The controller writes into the same status; the API server waits two seconds for us. */
const ATTEMPTS = 5

/**
 * @returns the Migration as stored with the claim and its source pod, or undefined when nobody waits for this pod
 * @throws KubeError when the API server does not answer, or somebody else writes all the time
 */
export async function claimReplacement(
  client: KubeClient,
  creation: Creation,
  signal: AbortSignal,
): Promise<{ migration: Migration; source: Pod } | undefined> {
  const owner = creation.object.metadata.ownerReferences?.find(({ controller }) => controller)
  if (!owner) return undefined
  const { namespace } = creation
  for (let attempt = 1; ; attempt++) {
    const { items } = await client.list(MIGRATIONS, { namespace, signal })
    try {
      for (const migration of waitingFor(owner.uid, items)) {
        const source = await client.get(PODS, namespace, migration.spec.podName, { signal }).catch(orUndefined)
        const { status } = migration
        const present = source?.metadata.uid === status?.source?.podUID && !source?.metadata.deletionTimestamp
        if (!source || !present || !status?.destination) continue
        const claimed = { ...status, destination: { ...status.destination, claim: creation.uid } }
        return {
          migration: await client.replaceStatus(MIGRATIONS, { ...migration, status: claimed }, { signal }),
          source,
        }
      }
      return undefined
    } catch (error) {
      if (!isConflict(error) || attempt >= ATTEMPTS) throw error
    }
  }
}

function orUndefined(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
