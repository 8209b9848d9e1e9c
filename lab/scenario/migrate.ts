/** Moving a pod and waiting for the end, as a scenario needs it. */
import { isFinished } from '../../src/api/conditions.ts'
import type { Migration, MigrationSpec } from '../../src/api/migration.ts'
import { API_VERSION, KIND } from '../../src/api/names.ts'
import { MIGRATIONS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { eventually } from './eventually.ts'

let created = 0

/** @returns the Migration as created */
export function startMigration(
  client: KubeClient,
  spec: Partial<MigrationSpec> & Pick<MigrationSpec, 'podName'>,
  namespace = 'default',
): Promise<Migration> {
  // Unique among runs of the same process and of different ones.
  const name = `${spec.podName}-${Date.now().toString(36)}-${created++}`.slice(-60).replace(/^[^a-z0-9]+/, '')
  const object = { apiVersion: API_VERSION, kind: KIND, metadata: { name, namespace }, spec }
  // The API server fills in the defaults of the spec.
  return client.create(MIGRATIONS, object as typeof object & { spec: MigrationSpec })
}

/** @returns the Migration in its last state */
export const finished = (client: KubeClient, { metadata }: Migration, timeoutMs = 120_000): Promise<Migration> =>
  eventually(
    `Migration ${metadata.name} ends`,
    async () => {
      const current = await client.get(MIGRATIONS, metadata.namespace, metadata.name)
      return isFinished(current.status) ? current : undefined
    },
    timeoutMs,
  )

/** Creates a Migration and waits for its end. */
export async function migrate(
  client: KubeClient,
  spec: Partial<MigrationSpec> & Pick<MigrationSpec, 'podName'>,
  namespace = 'default',
): Promise<Migration> {
  return await finished(client, await startMigration(client, spec, namespace))
}
