/** What the source agent does next in mode Live. Pure: a function of the status, the journal, the node and what runs in this process. */
import { isFalse, isTrue, truth } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import type { PodState } from '../pods.ts'
import type { LiveEntry } from './entry.ts'
import type { Pages } from './watch.ts'

export interface LiveView {
  status: MigrationStatus
  entry: Pick<LiveEntry, 'step'> | undefined
  /** What this process is doing for the Migration: up to the fence, or from there to the commit. */
  task: 'dump' | 'deliver' | undefined
  pod: PodState
  /** Whether the pod's cgroup is frozen now. Looked at only while fenced and not decided. */
  frozen: boolean
  /** What dumps and keepers are up to. Looked at only while fenced and not delivered. */
  pages: Pages
  /** For how long pages have looked lost, in milliseconds. */
  lostForMs: number
}

export type LiveAction =
  | { do: 'wait' }
  /** Copies the files, dumps, fences and goes on to deliver. */
  | { do: 'begin' }
  /** Aborted while that runs: stops it at the next safe point. */
  | { do: 'withdraw' }
  /** What an earlier process has left unfinished before the fence: brings the pod back to what it was. */
  | { do: 'unwind' }
  /** Says that the pod is fenced, sends what the destination needs, then commits. */
  | { do: 'deliver' }
  | { do: 'reportFailed' }
  /** `Checkpointed` cannot be kept: journal entry, freeze or pages are lost before the commit. */
  | { do: 'reportLost'; what: 'journal' | 'fence' | 'dump' }
  /** The same after the commit: the destination can never be whole. */
  | { do: 'reportPagesLost' }
  /** Ends the fence, takes away everything of the Migration and says so. */
  | { do: 'release'; by: 'thaw' | 'kill' }

const WAIT: LiveAction = { do: 'wait' }

/**
 * `Delivered=False` costs the work that the destination has done. When the source alone sees pages lost, a `Delivered=True` may be on
 * its way; the destination runs meanwhile, so nothing is gained by haste.
 */
const PAGES_PATIENCE_MS = 3_000

/** The next action; `wait` when it is somebody else's turn. */
export function plan(view: LiveView): LiveAction {
  const { status, entry, task } = view
  if (status.source?.cleanedAt !== undefined && entry === undefined) return WAIT
  if (task === 'dump') return isFalse(status, 'Committed') ? { do: 'withdraw' } : WAIT
  if (entry?.step === 'preparing' || entry?.step === 'dumping') return { do: 'unwind' }
  const by = releaseBy(view)
  if (by !== undefined) return { do: 'release', by }
  if (isTrue(status, 'Committed')) return afterCommit(view)
  return isFalse(status, 'Committed') || isFalse(status, 'Checkpointed') ? WAIT : beforeCommit(view)
}

/**
 * How the fence may be ended: the situations of docs/design/0001-image-mode.md and the fourth of 0002-live-mode.md.
 *
 * @returns undefined while it must hold
 */
function releaseBy({ status, pod }: Pick<LiveView, 'status' | 'pod'>): 'thaw' | 'kill' | undefined {
  if (isFalse(status, 'Committed')) return 'thaw'
  if (!isTrue(status, 'Committed')) return undefined
  if (isFalse(status, 'Restored') || isFalse(status, 'Delivered'))
    return status.destination?.removedAt === undefined ? undefined : 'thaw'
  // Until all pages are there the frozen pod is the only whole copy, whatever became of the pod object.
  return isTrue(status, 'Restored') && isTrue(status, 'Delivered') && pod !== 'present' ? 'kill' : undefined
}

function beforeCommit({ status, entry, task, frozen, pages }: LiveView): LiveAction {
  if (entry === undefined) {
    if (isTrue(status, 'Checkpointed')) return { do: 'reportLost', what: 'journal' }
    return isTrue(status, 'DestinationReady') ? { do: 'begin' } : WAIT
  }
  if (entry.step === 'failed') return { do: 'reportFailed' }
  if (!frozen) return { do: 'reportLost', what: 'fence' }
  // `done` too: CRIU has ended well and killed what it has dumped, though nobody may run the copy.
  if (pages !== 'served') return { do: 'reportLost', what: 'dump' }
  return task === undefined ? { do: 'deliver' } : WAIT
}

function afterCommit({ status, entry, pages, lostForMs }: LiveView): LiveAction {
  if (entry?.step !== 'fenced' || pages !== 'lost' || lostForMs < PAGES_PATIENCE_MS) return WAIT
  const open = truth(status, 'Delivered') === 'Unknown' && !isFalse(status, 'Restored')
  return open ? { do: 'reportPagesLost' } : WAIT
}
