/** The destination will not run, or not run on: takes it away and proves that it is gone. */
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import { referenceOf } from '../../status.ts'
import { remains } from '../remains.ts'
import { suspectPods } from '../suspect-pods.ts'
import { about, finish, type LiveAgent } from './live-agent.ts'
import { giveUp, killEverything, removeTraces, strays } from './removal.ts'

const REMOVE_MS = 300

export async function remove(
  live: LiveAgent,
  migration: Migration,
  change: (status: MigrationStatus) => MigrationStatus,
) {
  const { client, deps, hostRoot, log, nodeName } = live
  const { namespace, uid: migrationUID } = referenceOf(migration)
  const podUID = migration.status?.destination?.podUID
  if (podUID !== undefined) await giveUp(hostRoot, podUID)
  await deps.uploads.abort(migrationUID)
  if (podUID !== undefined) await killEverything(hostRoot, deps, podUID)
  const left = podUID === undefined ? [] : await strays(hostRoot, deps, podUID)
  if (left.length === 0) {
    const pods = await suspectPods(client, migration)
    left.push(...(await remains(deps.cri, { namespace, migrationUID, podUID, pods, self: nodeName })))
  }
  if (left.length > 0) {
    log.debug({ ...about(live, migration), left }, 'waiting for the destination pod to end')
    return REMOVE_MS
  }
  if (podUID !== undefined) await removeTraces(hostRoot, deps, podUID)
  await finish(live, migration, change, 'nothing of the destination pod runs or can run')
  return undefined
}
