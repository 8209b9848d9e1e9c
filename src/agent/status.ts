/** How an agent writes into the status of a Migration: on the newest version, of this very object, with the phase kept true. */
import { phaseOf } from '../api/conditions.ts'
import type { Migration, MigrationStatus } from '../api/migration.ts'
import { MIGRATIONS } from '../api/resources.ts'
import type { KubeClient } from '../kube/client.ts'
import { updateStatus } from '../kube/status.ts'

/** One Migration object; another of the same name has another UID. */
export interface MigrationReference {
  namespace: string
  name: string
  uid: string
}

export const referenceOf = ({ metadata }: Migration): MigrationReference => ({
  namespace: metadata.namespace ?? 'default',
  name: metadata.name,
  uid: metadata.uid,
})

/**
 * @param change pure; gets the newest status and checks its own preconditions on it; the same object means no change
 * @returns the Migration of that name as it is now, which has another UID when it is another one
 * @throws KubeError NotFound when there is no Migration of that name, a conflict after repeated ones
 */
export async function writeStatus(
  client: KubeClient,
  { namespace, name, uid }: MigrationReference,
  change: (status: MigrationStatus) => MigrationStatus,
): Promise<Migration> {
  return await updateStatus(client, MIGRATIONS, namespace, name, (migration) => {
    const before = migration.status ?? {}
    const after = migration.metadata.uid === uid ? change(before) : before
    return after === before ? migration : { ...migration, status: { ...after, phase: phaseOf(after) } }
  })
}
