/** The one write of `podferry migrate`. */
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import type { Unsaved } from '../../kube/resource.ts'
import type { Session } from '../connection-options.ts'
import type { NewMigration } from './new-migration.ts'

/** Restoring and clean-up come after the commit, which spec.timeoutSeconds limits. */
export const AFTER_COMMIT_MS = 300_000

/** @throws KubeError with the API server's words */
export async function create(
  object: NewMigration,
  dryRun: boolean,
  { client, timeoutMs }: Session,
): Promise<Migration> {
  if (!dryRun) return await client.create(MIGRATIONS, object as Unsaved<Migration>, { timeoutMs })
  const { collectionPath } = await import('../../kube/resource.ts')
  const path = collectionPath(MIGRATIONS, object.metadata.namespace)
  const query = { dryRun: 'All', fieldManager: 'podferry-cli' }
  return JSON.parse(await client.request({ method: 'POST', path, query, body: object, timeoutMs }))
}
