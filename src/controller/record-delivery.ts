/** Writes into the Migration that a checkpoint image has arrived: what both bus drivers come down to. */
import { phaseOf } from '../api/conditions.ts'
import { withDelivery } from '../api/delivery.ts'
import { MIGRATIONS } from '../api/resources.ts'
import type { ImageEvent } from '../events/event.ts'
import type { KubeClient } from '../kube/client.ts'
import { updateStatus } from '../kube/status.ts'

/**
 * Idempotent: an event told twice, late or for a Migration that no longer exists changes nothing.
 *
 * @param via RegistryEvent or KafkaRecord: becomes the reason of the condition
 * @throws KubeError when the API server can't be reached; the bus then tells the event again
 */
export async function recordDelivery(client: KubeClient, event: ImageEvent, via: 'RegistryEvent' | 'KafkaRecord') {
  const { items } = await client.list(MIGRATIONS, { namespace: event.namespace })
  const migration = items.find(({ metadata }) => metadata.uid === event.migrationUID)
  if (!migration) return
  const { container, digest } = event
  await updateStatus(client, MIGRATIONS, event.namespace, migration.metadata.name, (fresh) => {
    if (fresh.metadata.uid !== event.migrationUID || !fresh.status) return fresh
    const status = withDelivery(fresh.status, { container, digest, via }, new Date().toISOString())
    return { ...fresh, status: { ...status, phase: phaseOf(status) } }
  })
}
