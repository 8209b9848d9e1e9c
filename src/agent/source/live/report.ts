/** The source agent's writes in mode Live: pure changes that check on the newest status that they still may be made. */
import { isFalse, isTrue, truth, withCondition } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import type { Failure } from '../failure.ts'
import * as report from '../report.ts'
import type { LiveEntry } from './entry.ts'

type Change = (status: MigrationStatus) => MigrationStatus

const isOpen = (status: MigrationStatus) => truth(status, 'Committed') === 'Unknown'

/** @param now RFC 3339, here and below */
export const checkpointed =
  ({ frozenAt, containers, precopyMs, dumpMs, fenceMs }: LiveEntry, now: string): Change =>
  (status) => {
    if (!isOpen(status) || truth(status, 'Checkpointed') !== 'Unknown') return status
    const steps = { ...status.timings?.steps, ...known({ precopyMs, dumpMs, fenceMs }) }
    const timings = { ...status.timings, ...known({ frozenAt }), steps }
    const message = `${containers.length} container(s) dumped on node ${status.source?.node}, which serves their memory; the pod is frozen`
    const update = { type: 'Checkpointed', status: 'True', reason: 'Fenced', message } as const
    return withCondition({ ...status, timings }, update, now)
  }

/**
 * Said by an agent that was restarted, before it sends anything anew. A write that changes nothing but the version: a commit that the
 * earlier process has sent and that is still under way must not meet parts of two deliveries.
 */
export const resumed =
  (entry: LiveEntry, now: string): Change =>
  (status) => {
    if (!isOpen(status) || !isTrue(status, 'Checkpointed')) return checkpointed(entry, now)(status)
    const message = `${entry.containers.length} container(s) dumped on node ${status.source?.node}, which serves their memory; the pod is frozen; sent anew from ${now} on, as the agent was restarted`
    return withCondition(status, { type: 'Checkpointed', status: 'True', reason: 'Fenced', message }, now)
  }

/** Whether this very version of the status may become a commit. */
export const isCommittable = (status: MigrationStatus): boolean =>
  isOpen(status) &&
  isTrue(status, 'Checkpointed') &&
  isTrue(status, 'DestinationReady') &&
  (['Delivered', 'Restored'] as const).every((type) => truth(status, type) === 'Unknown')

/** The decision: from now on only the destination may run. */
export const committed =
  ({ memoryBytes }: LiveEntry, staged: { stageMs: number; filesystemBytes: number }, now: string): Change =>
  (status) => {
    const { stageMs, filesystemBytes } = staged
    const timings = { ...status.timings, committedAt: now, steps: { ...status.timings?.steps, stageMs } }
    const transfer = { ...status.transfer, filesystemBytes, ...known({ memoryBytes }) }
    const message = `everything but the memory is on node ${status.destination?.node}; the source pod stays frozen`
    const update = { type: 'Committed', status: 'True', reason: 'Staged', message } as const
    return withCondition({ ...status, timings, transfer }, update, now)
  }

const LOST: Record<'journal' | 'fence' | 'dump', Failure> = {
  journal: {
    reason: 'JournalLost',
    message:
      'the journal on the source node has no readable entry of this Migration; see /var/lib/podferry/journal there',
    criuLog: [],
  },
  fence: {
    reason: 'FenceLost',
    message: 'the source pod is not frozen any more: it was restarted, or somebody has thawed its cgroup',
    criuLog: [],
  },
  dump: {
    reason: 'DumpLost',
    message: 'a dump or its page keeper has ended on the source node before the commit; the pod runs on, try again',
    criuLog: [],
  },
}

/** The checkpoint is worth nothing any more. Loses against a commit, which makes it the destination's turn anyway. */
export const lost =
  (what: keyof typeof LOST | Failure, now: string): Change =>
  (status) => {
    if (!isOpen(status) || truth(status, 'Checkpointed') === 'False') return status
    return broken(status, 'Checkpointed', typeof what === 'string' ? LOST[what] : what, now)
  }

/** The memory can never be complete at the destination; what it has done since the commit is undone. */
export const pagesLost =
  (now: string): Change =>
  (status) => {
    const open = isTrue(status, 'Committed') && truth(status, 'Delivered') === 'Unknown' && !isFalse(status, 'Restored')
    if (!open) return status
    const message =
      'a dump or its page keeper has ended on the source node before all memory had arrived; the source runs on from the checkpoint'
    return broken(status, 'Delivered', { reason: 'PagesLost', message, criuLog: [] }, now)
  }

/** Nothing of the Migration is left on the source node. */
export const cleaned =
  (commitMs: number | undefined, now: string): Change =>
  (status) => {
    const clean = report.cleaned(now)(status)
    if (clean === status || commitMs === undefined) return clean
    return { ...clean, timings: { ...clean.timings, steps: { ...clean.timings?.steps, commitMs } } }
  }

function broken(status: MigrationStatus, type: 'Checkpointed' | 'Delivered', failure: Failure, now: string) {
  const { reason, message, criuLog } = failure
  const kept = status.failure ?? { reason, message, ...(criuLog.length > 0 ? { criuLog } : {}) }
  return withCondition({ ...status, failure: kept }, { type, status: 'False', reason, message }, now)
}

/** Without the members that are not known: the API server would refuse `null`, and types refuse `undefined`. */
function known<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}
