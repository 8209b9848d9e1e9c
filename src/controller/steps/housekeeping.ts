/** Before the first step and after the last: the finalizer, and the time to live of a finished Migration. */
import { isFalse, isFinished } from '../../api/conditions.ts'
import { FINALIZER } from '../../api/names.ts'
import { isRecreated } from '../../api/recreated.ts'
import { type Plan, type Step, WAIT } from '../step.ts'
import { handBack } from './hand-back.ts'
import { destinationRemoval } from './rollback.ts'

/** The finalizer comes before the first side effect; without it a deleted Migration would leave a frozen pod behind. */
export const guard: Step = ({ migration: { metadata, status } }) => {
  if (isFinished(status) || metadata.finalizers?.includes(FINALIZER)) return undefined
  return metadata.deletionTimestamp ? WAIT : { commands: [{ do: 'addFinalizer' }] }
}

/** Longer than a controller that has lost its lease could still carry out what it had planned. */
const LATE_MS = 60_000

export const retire: Step = (snapshot, now) => {
  const { metadata, status, spec } = snapshot.migration
  if (!isFinished(status)) return undefined
  const rolledBack = isFalse(status, 'Succeeded')
  // A destination pod made by an old view, after the rollback had looked for the last time, has nothing to run; it goes too.
  // So is a source that was released by one.
  // Recreated: the pod may be one that was restored at the source.
  const late =
    rolledBack && !isRecreated(status) ? (destinationRemoval(snapshot) ?? handBack(snapshot, now)) : undefined
  if (late) return late
  if (metadata.finalizers?.includes(FINALIZER)) return { commands: [{ do: 'removeFinalizer' }] }
  const endedMs = now.getTime() - Date.parse(status?.timings?.finishedAt ?? now.toISOString())
  const watch: Plan = rolledBack && endedMs < LATE_MS ? { requeueAfterMs: LATE_MS / 4 } : WAIT
  if (spec.ttlSecondsAfterFinished === undefined || metadata.deletionTimestamp) return watch
  const left = spec.ttlSecondsAfterFinished * 1000 - endedMs
  if (left <= 0) return { commands: [{ do: 'deleteMigration' }] }
  return { requeueAfterMs: Math.min(left, watch.requeueAfterMs ?? left) }
}
