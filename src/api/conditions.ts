/** The conditions of a Migration, how they are read, and the phase computed from them for display. */
import type { Condition, MigrationStatus } from './migration.ts'

export const CONDITION_TYPES = [
  'Accepted',
  'DestinationReady',
  'Checkpointed',
  'Delivered',
  'Committed',
  'Restored',
  'SourceRemoved',
  'Succeeded',
  'Failed',
] as const
export type ConditionType = (typeof CONDITION_TYPES)[number]

type Truth = Condition['status']

/** @returns the condition, or undefined when nobody has written it yet */
export function condition(status: MigrationStatus | undefined, type: ConditionType): Condition | undefined {
  return status?.conditions?.find((candidate) => candidate.type === type)
}

/** @returns the truth of a condition; one that nobody has written is `Unknown` */
export function truth(status: MigrationStatus | undefined, type: ConditionType): Truth {
  return condition(status, type)?.status ?? 'Unknown'
}

export const isTrue = (status: MigrationStatus | undefined, type: ConditionType): boolean =>
  truth(status, type) === 'True'
export const isFalse = (status: MigrationStatus | undefined, type: ConditionType): boolean =>
  truth(status, type) === 'False'

/** A Migration is finished when its summary is settled; nothing changes it after that. */
export const isFinished = (status: MigrationStatus | undefined): boolean => truth(status, 'Succeeded') !== 'Unknown'

export interface ConditionUpdate {
  type: ConditionType
  status: Truth
  reason: string
  message: string
}

/**
 * A copy of `status` with one condition set. `lastTransitionTime` moves only when the truth changes.
 *
 * @param now RFC 3339 time of the change
 */
export function withCondition(
  status: MigrationStatus,
  update: ConditionUpdate,
  now: string,
  observedGeneration?: number,
): MigrationStatus {
  const before = condition(status, update.type)
  const next: Condition = {
    ...update,
    message: update.message.slice(0, 32_768),
    lastTransitionTime: before?.status === update.status ? before.lastTransitionTime : now,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  }
  const others = (status.conditions ?? []).filter((candidate) => candidate.type !== update.type)
  const order = (c: Condition) => (CONDITION_TYPES as readonly string[]).indexOf(c.type)
  return { ...status, conditions: [...others, next].sort((a, b) => order(a) - order(b)) }
}

/** @returns the condition by which only the source may run on: aborted, not restored, or (Live) the memory can't be completed */
export function rollbackCause(status: MigrationStatus | undefined): Condition | undefined {
  if (isFalse(status, 'Committed')) return condition(status, 'Committed')
  if (!isTrue(status, 'Committed')) return undefined
  if (isFalse(status, 'Restored')) return condition(status, 'Restored')
  // In mode Image Delivered speaks of the time before the commit.
  return status?.mode === 'Live' && isFalse(status, 'Delivered') ? condition(status, 'Delivered') : undefined
}

const LOST = 'DestinationLost'

/** The destination went silent after the commit, and nothing has been heard of it since. */
export const isDestinationLost = (status: MigrationStatus | undefined): boolean =>
  isTrue(status, 'Committed') &&
  (['Restored', 'Delivered', 'Succeeded'] as const).some((type) => {
    const found = condition(status, type)
    return found?.status === 'Unknown' && found.reason === LOST
  })

/** The word shown as PHASE. Nothing decides by it. */
export function phaseOf(status: MigrationStatus | undefined): string {
  if (isTrue(status, 'Succeeded')) return 'Succeeded'
  if (isFalse(status, 'Succeeded'))
    return condition(status, 'Succeeded')?.reason === 'RolledBack' ? 'RolledBack' : 'Failed'
  if (isDestinationLost(status)) return LOST
  if (rollbackCause(status)) return 'RollingBack'
  if (isTrue(status, 'Restored'))
    return status?.mode === 'Live' && !isTrue(status, 'Delivered') ? 'Streaming' : 'Finishing'
  if (isTrue(status, 'Committed')) return 'Restoring'
  if (isTrue(status, 'Delivered')) return 'Committing'
  if (isTrue(status, 'Checkpointed')) return 'Delivering'
  if (isTrue(status, 'DestinationReady')) return 'Checkpointing'
  if (isTrue(status, 'Accepted')) return 'Preparing'
  return 'Pending'
}
