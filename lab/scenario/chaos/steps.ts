/** The steps of a live move as the API server tells them: what a blow is aimed at, and where it has landed. Pure. */
import { isFinished, isTrue, rollbackCause } from '../../../src/api/conditions.ts'
import type { MigrationStatus } from '../../../src/api/migration.ts'

/**
 * `opening`: the destination pod is made, up to its gate; `copying`: files go ahead, then the dump, up to the fence; `staging`: images and
 * changed files, up to the commit; `restoring`: up to the first instruction; `paging`: memory follows; `removing`: the source goes.
 */
export const STEPS = ['opening', 'copying', 'staging', 'restoring', 'paging', 'removing'] as const
export type Step = (typeof STEPS)[number]
/** `undoing`: it was given up already. */
export type Place = 'before' | Step | 'undoing' | 'over'

/** @returns where a migration is */
export function placeOf(status: MigrationStatus | undefined): Place {
  if (isFinished(status)) return 'over'
  if (rollbackCause(status)) return 'undoing'
  if (!isTrue(status, 'Accepted')) return 'before'
  if (!isTrue(status, 'DestinationReady')) return 'opening'
  if (!isTrue(status, 'Checkpointed')) return isTrue(status, 'Committed') ? 'restoring' : 'copying'
  if (!isTrue(status, 'Committed')) return 'staging'
  if (!isTrue(status, 'Restored')) return 'restoring'
  return isTrue(status, 'Delivered') ? 'removing' : 'paging'
}

const ORDER: readonly Place[] = ['before', ...STEPS, 'undoing', 'over']

/** Whether a migration that is at `place` has come as far as `step`. */
export const hasReached = (place: Place, step: Step): boolean => ORDER.indexOf(place) >= ORDER.indexOf(step)

/**
 * @param before place right before the blow, `after` right after it
 * @returns the steps at which the blow may have landed; none when it came too early or too late
 */
export function stepsBetween(before: Place, after: Place): Step[] {
  const from = Math.max(ORDER.indexOf(before), 1)
  // What was given up or over right after it was at the step of `before` when it was struck, or later.
  const to = Math.min(ORDER.indexOf(after), STEPS.length)
  if (before === 'undoing' || before === 'over') return []
  const last = after === 'undoing' ? from : to
  return STEPS.slice(from - 1, Math.max(last, 0))
}
