/** Back to the source: the destination goes first, then the agents thaw and clean, then the end is written. */
import { isFalse, isTrue } from '../../api/conditions.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Plan, pullPodRemoval, type Step } from '../step.ts'
import { refused, rolledBack } from '../summary.ts'

export const rollback: Step = (snapshot, now) => {
  const { status } = snapshot.migration
  if (!isFalse(status, 'Committed') && !(isTrue(status, 'Committed') && isFalse(status, 'Restored'))) return undefined
  return destinationRemoval(snapshot) ?? pullPodRemoval(snapshot) ?? cleanUp(snapshot) ?? rolledBack(snapshot, now)
}

/** Refused at the door: no agent has touched anything, only the pull pod may exist. */
export const refusal: Step = (snapshot, now) =>
  isFalse(snapshot.migration.status, 'Accepted') ? (pullPodRemoval(snapshot) ?? refused(snapshot, now)) : undefined

function destinationRemoval({ migration, destinationPod: pod }: Snapshot): Plan | undefined {
  if (!pod || pod.metadata.labels?.[MIGRATION_UID_LABEL] !== migration.metadata.uid) return undefined
  if (pod.metadata.deletionTimestamp) return { requeueAfterMs: 1000 }
  const { name, uid } = pod.metadata
  return { commands: [{ do: 'deletePod', role: 'destination', name, uid, graceSeconds: 1 }], requeueAfterMs: 1000 }
}

/** A node that left the cluster has taken its leftovers with it; a silent one is waited for. */
function cleanUp(snapshot: Snapshot): Plan | undefined {
  const { source, destination } = snapshot.migration.status ?? {}
  const dirty = [source, destination].some((side) => side && !side.cleanedAt && nodeNamed(snapshot, side.node))
  return dirty ? { requeueAfterMs: 1000 } : undefined
}
