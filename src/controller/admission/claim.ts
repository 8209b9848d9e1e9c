/** The claim: a creation is taken for one Migration, by a write that only one creation can make. */
import type { Migration } from '../../api/migration.ts'
import type { Pod } from '../../api/pod.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isConflict, isNotFound } from '../../kube/error.ts'
import { sourceFrom } from '../manifest.ts'
import { holderOf, isRestorable, jobHolder, waitingFor } from './replacement.ts'
import type { Creation } from './review.ts'

/** The controller writes into the same status; the API server waits two seconds for us. */
const ATTEMPTS = 5

interface Claimed {
  migration: Migration
  /** Undefined: the pod may not be made yet. */
  source: Pod | undefined
}

/**
 * @returns the Migration as stored with the claim and its source pod, or undefined when nobody waits for this pod
 * @throws KubeError when the API server does not answer, or somebody else writes all the time
 */
export async function claim(client: KubeClient, creation: Creation, signal: AbortSignal): Promise<Claimed | undefined> {
  const owner = creation.object.metadata.ownerReferences?.find(({ controller }) => controller)
  if (!owner) return undefined
  const { namespace } = creation
  for (let attempt = 1; ; attempt++) {
    const { items } = await client.list(MIGRATIONS, { namespace, signal })
    try {
      const holder = holderOf(owner.uid, creation.object.metadata.name, items)
      if (holder) return await claimName(client, holder, creation, signal)
      const ofJob = jobHolder(owner.uid, items)
      if (ofJob) return { migration: ofJob, source: undefined }
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

/** Of a StatefulSet its name makes the pod the only one, so a creation that came to nothing takes no right from the next. */
async function claimName(
  client: KubeClient,
  migration: Migration,
  { uid }: Creation,
  signal: AbortSignal,
): Promise<Claimed> {
  const { status } = migration
  const source = sourceFrom(migration)
  if (!status?.destination || !source || !isRestorable(migration)) return { migration, source: undefined }
  const claimed = { ...status, destination: { ...status.destination, claim: uid } }
  return { migration: await client.replaceStatus(MIGRATIONS, { ...migration, status: claimed }, { signal }), source }
}

function orUndefined(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
