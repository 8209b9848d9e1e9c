/** Asks the registry itself whether the images have arrived: a lost message costs seconds, not the Migration. */
import { withDelivery } from '../../api/delivery.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { CHECKPOINT_TAG, checkpointRepository } from '../../oci/repository.ts'
import { referenceOf } from '../status.ts'

interface ArrivedImage {
  container: string
  digest: string
}

interface Registry {
  manifest(repository: string, reference: string): Promise<{ digest: string } | undefined>
}

/** The event is on its way for so long; asking earlier would only win a race that nobody needs won. */
export const EVENT_PATIENCE_MS = 3_000

/** @returns the images of this Migration that are in the registry and not yet in its status */
export async function findArrived(registry: Registry, migration: Migration): Promise<ArrivedImage[]> {
  const { namespace, uid: migrationUID } = referenceOf(migration)
  const arrived: ArrivedImage[] = []
  for (const { name: container } of migration.status?.containers ?? []) {
    const found = await registry.manifest(checkpointRepository({ namespace, migrationUID, container }), CHECKPOINT_TAG)
    if (found) arrived.push({ container, digest: found.digest })
  }
  return arrived
}

/** Pure. @param now RFC 3339 */
export const delivered =
  (arrived: readonly ArrivedImage[], now: string) =>
  (status: MigrationStatus): MigrationStatus =>
    arrived.reduce((next, image) => withDelivery(next, { ...image, via: 'FoundInRegistry' }, now), status)
