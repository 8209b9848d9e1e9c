/** What the source agent does next. Pure: a function of the status, the journal and what runs in this process. */
import { condition, isFalse, isTrue, truth } from '../../api/conditions.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import { awaitsReturn, isHopeless, isRecreated, OWNER_GONE } from '../../api/recreated.ts'
import type { SourceEntry } from './entry.ts'

export interface SourceView {
  status: MigrationStatus
  /** The journal's entry, as far as a decision needs it. */
  entry: Pick<SourceEntry, 'step'> | undefined
  /** What this process is doing for the Migration; `sent` when all archives have reached the destination. */
  task: 'dump' | 'deliver' | 'sent' | undefined
  /** The pod with the UID of status.source. */
  pod: 'present' | 'leaving' | 'gone'
  /** Whether the pod's cgroup is frozen now. Looked at only while `fenced` and not committed. */
  frozen: boolean
}

export type SourceAction =
  | { do: 'wait' }
  /** Starts the dump. */
  | { do: 'checkpoint' }
  /** The Migration is aborted while a dump runs: keeps the hook from freezing, if it still can. */
  | { do: 'withdraw' }
  /** A dump that an earlier process began: brings the pod back to what it was. */
  | { do: 'unwind' }
  | { do: 'reportCheckpointed' }
  | { do: 'reportFailed' }
  /** `Checkpointed` cannot be kept: its journal entry or its freeze is lost. */
  | { do: 'reportLost'; what: 'journal' | 'fence' }
  | { do: 'deliver' }
  /** Recreated, the pod is on its way out: ends the processes before they could run on, and keeps the archives. */
  | { do: 'empty' }
  | { do: 'reportEmptied' }
  /** The pod comes back to this node and its archive is lost. */
  | { do: 'reportNoReturn' }
  /** Ends the fence, takes away everything of the Migration and says so. `keep`: all but the archives, which hold the only copy. */
  | { do: 'release'; by: 'thaw' | 'kill' | 'keep' }

const WAIT: SourceAction = { do: 'wait' }

/** The next action; `wait` when it is somebody else's turn. */
export function plan(view: SourceView): SourceAction {
  const { status, entry, task } = view
  if (status.source?.cleanedAt !== undefined && entry === undefined) return WAIT
  // A dump cannot be taken back by hanging up: the runtime would leave the container paused. It is waited for.
  if (task === 'dump') return isFalse(status, 'Committed') ? { do: 'withdraw' } : WAIT
  if (entry?.step === 'dumping') return { do: 'unwind' }
  const by = releaseBy(view)
  if (by !== undefined) return { do: 'release', by }
  if (isRecreated(status) && isTrue(status, 'Committed')) return afterCommit(view)
  if (truth(status, 'Committed') !== 'Unknown') return WAIT
  return isFalse(status, 'Checkpointed') ? WAIT : beforeCommit(view)
}

/**
 * How the fence may be ended: the three situations of docs/design/0001-image-mode.md.
 *
 * @returns undefined while it must hold
 */
function releaseBy({
  status,
  pod,
  entry,
}: Pick<SourceView, 'status' | 'pod' | 'entry'>): 'thaw' | 'kill' | 'keep' | undefined {
  if (isFalse(status, 'Committed')) return 'thaw'
  if (isFalse(status, 'Restored') && isRecreated(status)) {
    if (!isHopeless(status) || status.destination?.removedAt === undefined || pod === 'present') return undefined
    return condition(status, 'Restored')?.reason === OWNER_GONE || entry === undefined ? 'kill' : 'keep'
  }
  if (isFalse(status, 'Restored')) return status.destination?.removedAt === undefined ? undefined : 'thaw'
  return isTrue(status, 'Restored') && pod !== 'present' ? 'kill' : undefined
}

/** Of a pod that is recreated: the process ends before the destination is made, the archive stays until that runs. */
function afterCommit({ status, entry, pod, task }: SourceView): SourceAction {
  const open = status.source?.emptiedAt === undefined
  // Without a journal entry too: what is frozen would keep kubelet from taking the pod down.
  if (pod !== 'present' && (entry?.step === 'fenced' || (entry === undefined && open))) return { do: 'empty' }
  if (entry?.step === 'emptied' && open) return { do: 'reportEmptied' }
  if (!awaitsReturn(status) || task !== undefined) return WAIT
  return entry === undefined ? { do: 'reportNoReturn' } : { do: 'deliver' }
}

function beforeCommit({ status, entry, task, frozen }: SourceView): SourceAction {
  if (entry?.step === 'failed') return { do: 'reportFailed' }
  if (entry === undefined) {
    if (isTrue(status, 'Checkpointed')) return { do: 'reportLost', what: 'journal' }
    return isTrue(status, 'DestinationReady') ? { do: 'checkpoint' } : WAIT
  }
  if (!frozen) return { do: 'reportLost', what: 'fence' }
  if (!isTrue(status, 'Checkpointed')) return { do: 'reportCheckpointed' }
  return isTrue(status, 'Delivered') || task !== undefined ? WAIT : { do: 'deliver' }
}
