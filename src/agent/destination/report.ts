/** The destination agent's writes into the status: pure changes that check on the newest status that they still may be made. */
import { condition, isTrue, truth, withCondition } from '../../api/conditions.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import type { Readiness } from './prepare.ts'

type Change = (status: MigrationStatus) => MigrationStatus

const isOpen = (status: MigrationStatus) => truth(status, 'Committed') === 'Unknown'

/** @param now RFC 3339 */
export const readiness =
  (found: Readiness, now: string): Change =>
  (status) => {
    if (!status.destination || !isOpen(status) || truth(status, 'DestinationReady') !== 'Unknown') return status
    const { status: value, reason, message, imagesMissing } = found
    const { imagesMissing: _known, ...destination } = status.destination
    const before = condition(status, 'DestinationReady')
    if (before?.status === value && before.reason === reason && before.message === message) return status
    const next = imagesMissing.length > 0 ? { ...destination, imagesMissing: [...imagesMissing] } : destination
    return withCondition(
      { ...status, destination: next },
      { type: 'DestinationReady', status: value, reason, message },
      now,
    )
  }

const isUndecided = (status: MigrationStatus) => isTrue(status, 'Committed') && truth(status, 'Restored') === 'Unknown'

/** @param restoredAt RFC 3339 */
export const restored =
  (restoredAt: string, now: string): Change =>
  (status) => {
    if (!isUndecided(status)) return status
    const message = `runs from the checkpoint on node ${status.destination?.node}`
    const timings = { ...status.timings, restoredAt }
    return withCondition(
      { ...status, timings },
      { type: 'Restored', status: 'True', reason: 'FromCheckpoint', message },
      now,
    )
  }

export const restoreFailed =
  (failure: { reason: string; message: string; criuLog: readonly string[] }, now: string): Change =>
  (status) => {
    if (!isUndecided(status)) return status
    const { reason, message, criuLog } = failure
    const kept = { reason, message, ...(criuLog.length > 0 ? { criuLog: [...criuLog] } : {}) }
    return withCondition({ ...status, failure: kept }, { type: 'Restored', status: 'False', reason, message }, now)
  }

/** Nothing of the destination pod runs, and nothing could start any more. The source is thawed on the strength of this. */
export const removed =
  (now: string): Change =>
  (status) => {
    const { destination } = status
    if (!destination || truth(status, 'Restored') !== 'False' || destination.removedAt !== undefined) return status
    return { ...status, destination: { ...destination, removedAt: now, cleanedAt: now } }
  }

/** Nothing of the Migration is left on this node. */
export const cleaned =
  (now: string): Change =>
  (status) => {
    const { destination } = status
    const isOver = truth(status, 'Committed') === 'False' || truth(status, 'Restored') === 'True'
    if (!destination || !isOver || destination.cleanedAt !== undefined) return status
    return { ...status, destination: { ...destination, cleanedAt: now } }
  }
