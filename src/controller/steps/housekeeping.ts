/** Before the first step and after the last: the finalizer, and the time to live of a finished Migration. */
import { isFinished } from '../../api/conditions.ts'
import { FINALIZER } from '../../api/names.ts'
import { type Step, WAIT } from '../step.ts'

/** The finalizer comes before the first side effect; without it a deleted Migration would leave a frozen pod behind. */
export const guard: Step = ({ migration: { metadata, status } }) => {
  if (isFinished(status) || metadata.finalizers?.includes(FINALIZER)) return undefined
  return metadata.deletionTimestamp ? WAIT : { commands: [{ do: 'addFinalizer' }] }
}

export const retire: Step = ({ migration: { metadata, status, spec } }, now) => {
  if (!isFinished(status)) return undefined
  if (metadata.finalizers?.includes(FINALIZER)) return { commands: [{ do: 'removeFinalizer' }] }
  if (spec.ttlSecondsAfterFinished === undefined || metadata.deletionTimestamp) return WAIT
  const finishedAt = Date.parse(status?.timings?.finishedAt ?? now.toISOString())
  const left = finishedAt + spec.ttlSecondsAfterFinished * 1000 - now.getTime()
  return left > 0 ? { requeueAfterMs: left } : { commands: [{ do: 'deleteMigration' }] }
}
