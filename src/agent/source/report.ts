/** The source agent's writes into the status: pure changes that check on the newest status that they still may be made. */
import { isTrue, truth, withCondition } from '../../api/conditions.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import { awaitsReturn } from '../../api/recreated.ts'
import type { SourceEntry } from './entry.ts'

type Change = (status: MigrationStatus) => MigrationStatus

/** Nothing about the dump is written once the Migration is decided. */
const isOpen = (status: MigrationStatus) => truth(status, 'Committed') === 'Unknown'

/** @param now RFC 3339 */
export const checkpointed =
  ({ archives, frozenAt }: SourceEntry, now: string): Change =>
  (status) => {
    if (!isOpen(status) || truth(status, 'Checkpointed') !== 'Unknown') return status
    const containers = (status.containers ?? []).map((container) => {
      const archive = archives.find((candidate) => candidate.container === container.name)
      return archive ? { ...container, archiveBytes: archive.bytes } : container
    })
    const timings = frozenAt === undefined ? status.timings : { ...status.timings, frozenAt }
    const bytes = archives.reduce((sum, archive) => sum + archive.bytes, 0)
    const message = `${archives.length} archive(s) of ${bytes} bytes on node ${status.source?.node}; the pod is frozen`
    const update = { type: 'Checkpointed', status: 'True', reason: 'Fenced', message } as const
    return withCondition({ ...status, containers, ...(timings ? { timings } : {}) }, update, now)
  }

/** The dump was refused or failed; the pod runs on. Written only where `Checkpointed` was never reported. */
export const failed =
  (failure: { reason: string; message: string; criuLog: string[] }, now: string): Change =>
  (status) => {
    if (!isOpen(status) || truth(status, 'Checkpointed') !== 'Unknown') return status
    const { reason, message, criuLog } = failure
    const kept = { reason, message, ...(criuLog.length > 0 ? { criuLog } : {}) }
    return withCondition({ ...status, failure: kept }, { type: 'Checkpointed', status: 'False', reason, message }, now)
  }

const LOST = {
  journal: {
    reason: 'JournalLost',
    message:
      'the journal on the source node has no readable entry of this Migration; see /var/lib/podferry/journal there',
  },
  fence: {
    reason: 'FenceLost',
    message: 'the source pod is not frozen any more: it was restarted, or somebody has thawed its cgroup',
  },
} as const

/** The checkpoint is worth nothing any more. Loses against a commit, which makes it the destination's turn anyway. */
export const lost =
  (what: keyof typeof LOST, now: string): Change =>
  (status) => {
    if (!isOpen(status) || truth(status, 'Checkpointed') === 'False') return status
    return withCondition(status, { type: 'Checkpointed', status: 'False', ...LOST[what] }, now)
  }

/** Everything has reached the destination. */
export const sent =
  ({ archives }: SourceEntry): Change =>
  (status) => {
    const sentBytes = archives.reduce((sum, { bytes }) => sum + bytes, 0)
    if (status.transfer?.sentBytes === sentBytes || !isTrue(status, 'Checkpointed')) return status
    return { ...status, transfer: { ...status.transfer, sentBytes } }
  }

/** The frozen processes are dead. */
export const emptied =
  (now: string): Change =>
  (status) =>
    status.source === undefined || status.source.emptiedAt !== undefined
      ? status
      : { ...status, source: { ...status.source, emptiedAt: now } }

/** There is nothing to come back from. */
export const noReturn =
  (now: string): Change =>
  (status) =>
    awaitsReturn(status) ? withCondition(status, { type: 'Delivered', status: 'False', ...LOST.journal }, now) : status

/** All that is left are the archives: the only copy of the pod's state. */
export const kept =
  ({ archives }: Pick<SourceEntry, 'archives'>): Change =>
  (status) =>
    status.source === undefined
      ? status
      : { ...status, source: { ...status.source, kept: archives.map(({ path }) => path) } }

/** Nothing of the Migration is left on the source node. */
export const cleaned =
  (now: string): Change =>
  (status) =>
    status.source === undefined || status.source.cleanedAt !== undefined
      ? status
      : { ...status, source: { ...status.source, cleanedAt: now } }
