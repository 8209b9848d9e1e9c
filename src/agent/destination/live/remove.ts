/** The destination will not run, or not run on: takes it away and proves that it is gone. */
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import { referenceOf } from '../../status.ts'
import { remains } from '../remains.ts'
import { suspectPods } from '../suspect-pods.ts'
import { about, factsOf, finish, type LiveAgent } from './live-agent.ts'
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
  const { late } = factsOf(live, migration)
  if (podUID !== undefined) await giveUp(hostRoot, podUID)
  await deps.uploads.abort(migrationUID)
  if (podUID !== undefined) await killEverything(hostRoot, deps, podUID)
  const left = podUID === undefined ? [] : await strays(hostRoot, deps, podUID)
  if (left.length === 0) {
    const pods = await suspectPods(client, migration)
    // Without a word to it, the wrapper of a pod whose UID nobody has written down would wait to the end of its patience.
    for (const pod of pods.filter(({ spec, metadata }) => spec.nodeName === nodeName && metadata.uid !== podUID)) {
      await giveUp(hostRoot, pod.metadata.uid)
      late.add(pod.metadata.uid)
    }
    left.push(...(await remains(deps.cri, { namespace, migrationUID, podUID, pods, self: nodeName })))
  }
  if (left.length > 0) {
    log.debug({ ...about(live, migration), left }, 'waiting for the destination pod to end')
    return REMOVE_MS
  }
  for (const uid of [podUID, ...late]) if (uid !== undefined) await removeTraces(hostRoot, deps, uid)
  await finish(live, migration, change, 'nothing of the destination pod runs or can run')
  return undefined
}
