/** Moments of a migration at which a scenario may strike. */
import { condition, isFinished } from '../../src/api/conditions.ts'
import type { Migration, MigrationStatus } from '../../src/api/migration.ts'
import { MIGRATIONS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

/** In the order in which a migration passes them. */
const STAGES = [
  'Created',
  'Accepted',
  'DestinationReady',
  'Checkpointed',
  'Delivered',
  'Committed',
  'Restored',
  'SourceRemoved',
] as const
export type Stage = (typeof STAGES)[number]

const reached = (status: MigrationStatus | undefined, stage: Stage) =>
  stage === 'Created' || condition(status, stage)?.status === 'True' || isFinished(status)

/** Resolves the moment the API server says that the stage is reached (or that all is over). */
export async function reaches(client: KubeClient, migration: Migration, stage: Stage): Promise<void> {
  const { namespace, name, resourceVersion } = migration.metadata
  if (reached(migration.status, stage)) return
  const options = {
    namespace,
    fieldSelector: `metadata.name=${name}`,
    resourceVersion,
    signal: AbortSignal.timeout(60_000),
  }
  for await (const event of client.watch(MIGRATIONS, options)) {
    if (event.type !== 'BOOKMARK' && reached(event.object.status, stage)) return
  }
  throw new Error(`the watch ended before Migration ${name} reached ${stage}`)
}
