/** The Live destination's writes into the status: pure changes that check on the newest status that they still may be made. */
import { condition, isFalse, isTrue, truth, withCondition } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import type { LiveReadiness } from './readiness.ts'

type Change = (status: MigrationStatus) => MigrationStatus

interface Failure {
  reason: string
  message: string
  criuLog: readonly string[]
}

const PAGE_BYTES = 4096

/** @param now RFC 3339 */
export const readiness =
  (found: LiveReadiness, now: string): Change =>
  (status) => {
    const isOpen = truth(status, 'Committed') === 'Unknown' && truth(status, 'DestinationReady') === 'Unknown'
    const before = condition(status, 'DestinationReady')
    const isNew = before?.reason !== found.reason || before.message !== found.message || found.status !== 'Unknown'
    return isOpen && isNew ? withCondition(status, { type: 'DestinationReady', ...found }, now) : status
  }

/** Restored has not been decided, and the pages can still come. */
export const isReleasable = (status: MigrationStatus | undefined): boolean =>
  isTrue(status, 'Committed') && truth(status, 'Restored') === 'Unknown' && !isFalse(status, 'Delivered')

/** @param restoredAt RFC 3339 */
export const restored =
  (restoredAt: string, now: string): Change =>
  (status) => {
    if (!isReleasable(status)) return status
    const rest = status.mode === 'Live' ? '; its memory follows' : ''
    const message = `runs from the checkpoint on node ${status.destination?.node}${rest}`
    const timings = { ...status.timings, restoredAt }
    return withCondition(
      { ...status, timings },
      { type: 'Restored', status: 'True', reason: 'FromCheckpoint', message },
      now,
    )
  }

export const restoreFailed =
  (failure: Failure, now: string): Change =>
  (status) => {
    if (!isReleasable(status)) return status
    const { reason, message } = failure
    return withCondition(
      { ...status, failure: kept(failure) },
      { type: 'Restored', status: 'False', reason, message },
      now,
    )
  }

const isStreaming = (status: MigrationStatus) =>
  isTrue(status, 'Committed') && isTrue(status, 'Restored') && truth(status, 'Delivered') === 'Unknown'

export const pagesArrived =
  (now: string): Change =>
  (status) => {
    if (!isStreaming(status)) return status
    const message = 'all memory has arrived; the destination needs the source no more'
    const transfer = { ...status.transfer, pagesPending: 0 }
    return withCondition(
      { ...status, transfer },
      { type: 'Delivered', status: 'True', reason: 'AllPagesArrived', message },
      now,
    )
  }

export const pagesLost =
  (failure: Failure, now: string): Change =>
  (status) => {
    if (!isStreaming(status)) return status
    const { reason, message } = failure
    return withCondition(
      { ...status, failure: kept(failure) },
      { type: 'Delivered', status: 'False', reason, message },
      now,
    )
  }

/** @param receivedBytes of pages, of all containers together; what they come in (headers) is small beside them */
export const progress =
  (receivedBytes: number): Change =>
  (status) => {
    const memoryBytes = status.transfer?.memoryBytes
    if (!isStreaming(status) || memoryBytes === undefined) return status
    const pagesPending = Math.max(0, Math.ceil((memoryBytes - receivedBytes) / PAGE_BYTES))
    if (status.transfer?.pagesPending === pagesPending) return status
    return { ...status, transfer: { ...status.transfer, pagesPending } }
  }

/** Nothing of the destination pod runs, and nothing could start any more. The source is thawed on the strength of this. */
export const removed =
  (now: string): Change =>
  (status) => {
    const { destination } = status
    const isGivenUp = isTrue(status, 'Committed') && (isFalse(status, 'Restored') || isFalse(status, 'Delivered'))
    if (!destination || !isGivenUp || destination.cleanedAt !== undefined) return status
    return { ...status, destination: { ...destination, removedAt: destination.removedAt ?? now, cleanedAt: now } }
  }

/** Nothing of the Migration is left on this node. */
export const cleaned =
  (now: string): Change =>
  (status) => {
    const { destination } = status
    const isOver = isFalse(status, 'Committed') || (isTrue(status, 'Restored') && isTrue(status, 'Delivered'))
    if (!destination || !isOver || destination.cleanedAt !== undefined) return status
    return { ...status, destination: { ...destination, cleanedAt: now } }
  }

const kept = ({ reason, message, criuLog }: Failure) => ({
  reason,
  message,
  ...(criuLog.length > 0 ? { criuLog: [...criuLog] } : {}),
})
