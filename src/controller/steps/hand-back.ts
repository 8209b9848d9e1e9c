/** Rollback of a pod with an owner: the destination goes, the source is its owner's again. The order is in docs/design/0003-owners.md. */
import { rollbackCause } from '../../api/conditions.ts'
import { isPodReady, type Pod } from '../../api/pod.ts'
import { isDear, isOwnedBy, isReleased, isSettled, jobGone, type Owner, returnMarks, settleMarks } from '../owner.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import type { Command, Plan } from '../step.ts'

/** How long a source may take to be Ready again before it goes back as it is: unready it could be what the ReplicaSet deletes. */
const READY_PATIENCE_MS = 30_000
const SETTLE_PATIENCE_MS = 40_000
const LOOK_MS = 200
const RETURN_GRACE_SECONDS = 30

/** The source pod while it is still somebody's to hand back. */
function released({ migration, sourcePod }: Snapshot): { pod: Pod; owner: Owner } | undefined {
  const { owner, podUID, releasedAt } = migration.status?.source ?? {}
  if (!owner || releasedAt === undefined) return undefined
  if (sourcePod?.metadata.uid !== podUID || !sourcePod || sourcePod.metadata.deletionTimestamp) return undefined
  return { pod: sourcePod, owner }
}

const ownerLives = ({ owner: found }: Snapshot, owner: Owner): boolean =>
  owner.kind === 'Job'
    ? jobGone(found, owner) === undefined
    : found?.metadata.uid === owner.uid && !found.metadata.deletionTimestamp

const returning = (pod: Pod, owner: Owner): Command => ({
  do: 'markPod',
  why: 'handBack',
  pod,
  marks: returnMarks(owner),
})

/**
 * The label back, before or after the removal of the destination.
 *
 * @param removal what takes the destination pod away, as long as there is one
 * @returns the two in the order that the ReplicaSet is to hear of them; undefined when it is not yet, or no longer, time for the label
 */
export function handBackWith(snapshot: Snapshot, removal: Plan | undefined): Plan | undefined {
  const source = released(snapshot)
  if (!source || !isReleased(snapshot.migration, source.pod) || !ownerLives(snapshot, source.owner)) return undefined
  // The destination is none of the Job's, and the webhook lets it make no other: there is no order to keep.
  if (source.owner.kind === 'Job') return undefined
  const label = returning(source.pod, source.owner)
  const deletion = removal?.commands
  const { destinationPod: pod } = snapshot
  // Of one on its way out the ReplicaSet has made another already: the source comes back when it is Ready again.
  if (!deletion || pod?.metadata.deletionTimestamp !== undefined) return undefined
  const hasRun = pod?.status?.phase !== 'Pending'
  return { commands: hasRun ? [...deletion, label] : [label, ...deletion], requeueAfterMs: LOOK_MS }
}

/** What is left to do when both nodes are clean. @returns undefined when the source is its owner's again, or gone */
export function handBack(snapshot: Snapshot, now: Date): Plan | undefined {
  const source = released(snapshot)
  if (!source) return undefined
  const { pod, owner } = source
  const { status } = snapshot.migration
  const decidedAt = rollbackCause(status)?.lastTransitionTime
  const passedMs = decidedAt === undefined ? Number.POSITIVE_INFINITY : now.getTime() - Date.parse(decidedAt)
  const away = isReleased(snapshot.migration, pod)
  if (away && !ownerLives(snapshot, owner)) return collect(pod)
  if (away) {
    const waits =
      owner.kind !== 'Job' &&
      !isPodReady(pod) &&
      nodeNamed(snapshot, status?.source?.node) &&
      passedMs < READY_PATIENCE_MS
    return waits ? { requeueAfterMs: LOOK_MS } : { commands: [returning(pod, owner)], requeueAfterMs: LOOK_MS }
  }
  if (owner.kind === 'Job') {
    // Until it has taken the pod back it would make another.
    const isOpen = ownerLives(snapshot, owner) && !isOwnedBy(pod, owner) && passedMs < SETTLE_PATIENCE_MS
    return isOpen ? { requeueAfterMs: LOOK_MS } : undefined
  }
  if (!isDear(pod)) return undefined
  const found = snapshot.owner
  if (found && ownerLives(snapshot, owner) && !isSettled(found, pod) && passedMs < SETTLE_PATIENCE_MS)
    return { requeueAfterMs: LOOK_MS }
  return { commands: [{ do: 'markPod', why: 'settle', pod, marks: settleMarks(pod) }], requeueAfterMs: LOOK_MS }
}

/** The garbage collector would have, had the pod not been released. */
const collect = ({ metadata: { name, uid }, spec }: Pod): Plan => ({
  commands: [
    {
      do: 'deletePod',
      role: 'source',
      name,
      uid,
      graceSeconds: spec.terminationGracePeriodSeconds ?? RETURN_GRACE_SECONDS,
    },
  ],
  requeueAfterMs: 1000,
})
