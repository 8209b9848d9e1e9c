/**
 * The end of a move of a Job's pod: the destination, which was nobody's until it had all its state, becomes the Job's. Whatever had become
 * of it before then, the Job has counted nothing.
 */
import { condition } from '../../api/conditions.ts'
import { isOwnedBy, isReleased, jobGone, returnMarks } from '../owner.ts'
import type { Snapshot } from '../snapshot.ts'
import type { Plan } from '../step.ts'

const LOOK_MS = 200
/** A Job takes its pod within a second or two. */
const ADOPTION_PATIENCE_MS = 40_000
const GRACE_SECONDS = 30

/** @returns the label that the Job knows its pods by; undefined when the destination has it */
export function adoption({ migration, destinationPod: pod, owner: job }: Snapshot): Plan | undefined {
  const { owner } = migration.status?.source ?? {}
  if (owner?.kind !== 'Job' || !pod || !isReleased(migration, pod) || pod.metadata.deletionTimestamp) return undefined
  if (jobGone(job, owner) !== undefined) {
    // As the Job would have ended its own.
    const { name, uid } = pod.metadata
    const graceSeconds = pod.spec.terminationGracePeriodSeconds ?? GRACE_SECONDS
    return { commands: [{ do: 'deletePod', role: 'destination', name, uid, graceSeconds }], requeueAfterMs: LOOK_MS }
  }
  return { commands: [{ do: 'markPod', why: 'adopt', pod, marks: returnMarks(owner) }], requeueAfterMs: LOOK_MS }
}

/** Until the Job has taken the destination, the webhook must keep it from making another. @returns undefined when it has, or never will */
export function awaitAdoption({ migration, destinationPod: pod, owner: job }: Snapshot, now: Date): Plan | undefined {
  const { owner } = migration.status?.source ?? {}
  if (owner?.kind !== 'Job' || !pod || pod.metadata.deletionTimestamp) return undefined
  if (isOwnedBy(pod, owner) || jobGone(job, owner) !== undefined) return undefined
  const since = condition(migration.status, 'SourceRemoved')?.lastTransitionTime
  const isOver = since !== undefined && now.getTime() - Date.parse(since) > ADOPTION_PATIENCE_MS
  return isOver ? undefined : { requeueAfterMs: LOOK_MS }
}
