/** Back to the source: the destination goes first, then the agents thaw and clean, then the end is written. */
import { isFalse, rollbackCause } from '../../api/conditions.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Plan, pullPodRemoval, type Step, write } from '../step.ts'
import { refused, rolledBack } from '../summary.ts'
import { handBack, handBackWith } from './hand-back.ts'
import { isByPerson, outage } from './outage.ts'
import { sendBack, startAfresh } from './restore-recreated.ts'

export const rollback: Step = (snapshot, now) => {
  if (!rollbackCause(snapshot.migration.status)) return undefined
  const removal = destinationRemoval(snapshot)
  // Deleted first: a node that comes back finds it so.
  if (removal?.commands) return handBackWith(snapshot, removal) ?? removal
  return (
    outage(snapshot, now) ??
    removal ??
    personsProof(snapshot, now) ??
    sendBack(snapshot, now) ??
    pullPodRemoval(snapshot) ??
    cleanUp(snapshot) ??
    handBack(snapshot, now) ??
    startAfresh(snapshot) ??
    rolledBack(snapshot, now)
  )
}

/** Refused at the door: no agent has touched anything, only the pull pod may exist. */
export const refusal: Step = (snapshot, now) =>
  isFalse(snapshot.migration.status, 'Accepted') ? (pullPodRemoval(snapshot) ?? refused(snapshot, now)) : undefined

/**
 * A pod under the destination's name that a controller has made for this Migration, perhaps by a view that was old already.
 *
 * @returns undefined when there is none any more
 */
export function destinationRemoval(snapshot: Snapshot): Plan | undefined {
  const { migration, destinationPod: pod } = snapshot
  if (!pod || pod.metadata.labels?.[MIGRATION_UID_LABEL] !== migration.metadata.uid) return undefined
  const { name, uid } = pod.metadata
  // No kubelet is there to confirm; were it left, the node would start it again when it boots.
  const force = isByPerson(snapshot)
  if (pod.metadata.deletionTimestamp && !force) return { requeueAfterMs: 1000 }
  const graceSeconds = force ? 0 : 1
  return { commands: [{ do: 'deletePod', role: 'destination', name, uid, graceSeconds }], requeueAfterMs: 1000 }
}

/** Where no agent can prove that nothing runs, the person's word is the proof: after it the source is thawed. */
function personsProof(snapshot: Snapshot, now: Date): Plan | undefined {
  const { destination } = snapshot.migration.status ?? {}
  if (!destination || destination.removedAt !== undefined || !isByPerson(snapshot)) return undefined
  const at = now.toISOString()
  return write(snapshot, now, [], { destination: { ...destination, removedAt: at, cleanedAt: at } })
}

/** A node that left the cluster has taken its leftovers with it; a silent one is waited for. */
function cleanUp(snapshot: Snapshot): Plan | undefined {
  const { source, destination } = snapshot.migration.status ?? {}
  const dirty = [source, destination].some((side) => side && !side.cleanedAt && nodeNamed(snapshot, side.node))
  return dirty ? { requeueAfterMs: 1000 } : undefined
}
