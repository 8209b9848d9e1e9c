/** What became of the restores, by what wrappers and CRIU have left. Pure. */
import type { JobState } from '../../jobs/jobs.ts'
import { toTimestamp } from '../observe.ts'
import type { Outcome } from './staging.ts'

export interface RestoreView {
  name: string
  /**
   * The container that the state was staged for. Undefined when nothing was staged here, as after a reboot, and for a container that
   * kubelet has not made yet.
   */
  stagedFor: string | undefined
  /** The container whose wrapper came last. */
  waitingID: string | undefined
  /** Its wrapper lives, or what it has begun does. */
  alive: boolean
  /** Milliseconds since 1970 when the wrapper took the state. */
  usedAt: number | undefined
  outcome: Outcome | undefined
  /** CRIU's log ends with its word that the restore is finished. */
  finished: boolean
  /** Undefined where no daemon is needed: all memory is among the images. */
  lazy: JobState | undefined
}

export type LiveVerdict =
  | { kind: 'waiting' }
  /** @param restoredAt RFC 3339 with nanoseconds: when the last container was running again */
  | { kind: 'restored'; restoredAt: string }
  /** @param container the first that failed */
  | { kind: 'failed'; container: string; reason: string; message: string }

/** runc is not waited for longer; kubelet's own limit for the whole creation is two minutes. */
const PATIENCE_MS = 60_000
/** Where it reads all memory from the disk itself. */
const WHOLE_PATIENCE_MS = 110_000

/**
 * @param containers in kubelet's order; those before the last are held until the last one runs, so that what fails before has run nothing
 * @param now milliseconds since 1970
 */
export function judgeRestores(containers: readonly RestoreView[], now: number): LiveVerdict {
  const failed = containers.flatMap((view, index) => {
    const before = containers[index - 1]
    if (before === undefined || (isRestored(before) && view.usedAt !== undefined)) return failureOf(view, now) ?? []
    return beforeItsTurn(view, isRestored(before) ? millisecondsOf(before) : undefined, now) ?? []
  })
  const first = failed[0]
  if (first !== undefined) return first
  const ran = containers.filter(isRestored)
  if (ran.length < containers.length) return { kind: 'waiting' }
  const times = ran.map(({ outcome }) => outcome?.at ?? 0n).sort((a, b) => (a < b ? -1 : 1))
  return { kind: 'restored', restoredAt: toTimestamp(times.at(-1) ?? 0n) }
}

const isRestored = ({ outcome, finished }: RestoreView) => outcome?.restored === true && finished

const millisecondsOf = ({ outcome }: RestoreView) => Number((outcome?.at ?? 0n) / 1_000_000n)

/** @returns the container whose gate is to be opened now, if it waits there */
export function nextToOpen(containers: readonly RestoreView[]): RestoreView | undefined {
  const next = containers.find((view) => !isRestored(view))
  const waits = next?.waitingID !== undefined && next.alive && next.usedAt === undefined && next.outcome === undefined
  return waits ? next : undefined
}

/** @param sinceMs when the container before it was restored; undefined when it is not */
function beforeItsTurn(
  view: RestoreView,
  sinceMs: number | undefined,
  now: number,
): (LiveVerdict & { kind: 'failed' }) | undefined {
  const { name: container, stagedFor, waitingID, alive, lazy, outcome } = view
  const no = (reason: string, message: string) => ({ kind: 'failed' as const, container, reason, message })
  if (lazy && lazy.is !== 'running') return lazyEnded(container, no)
  if (sinceMs === undefined) return undefined
  if (outcome || (stagedFor !== undefined && (waitingID !== stagedFor || !alive))) return gone(container, no)
  if (now - sinceMs < PATIENCE_MS) return undefined
  return no('RestoreTimedOut', `container ${container}: kubelet did not make it within ${PATIENCE_MS / 1000} s`)
}

function failureOf(view: RestoreView, now: number): (LiveVerdict & { kind: 'failed' }) | undefined {
  const { name: container, outcome, usedAt, alive, lazy } = view
  const no = (reason: string, message: string) => ({ kind: 'failed' as const, container, reason, message })
  if (outcome?.restored === true) {
    if (view.finished) return undefined
    return no('NotFromCheckpoint', `container ${container}: runc reports success, but CRIU's log does not`)
  }
  if (outcome) return no('RestoreFailed', `container ${container}: runc restore ended with exit code ${outcome.code}`)
  if (usedAt === undefined) return beforeUse(view, no)
  if (!alive) return no('RestoreLost', `container ${container}: its restore was killed on the node`)
  if (lazy && lazy.is !== 'running' && !isComplete(lazy)) return lazyEnded(container, no)
  const patienceMs = lazy ? PATIENCE_MS : WHOLE_PATIENCE_MS
  if (now - usedAt < patienceMs) return undefined
  return no('RestoreTimedOut', `container ${container}: runc restore did not end within ${patienceMs / 1000} s`)
}

function beforeUse<T>(
  { name, stagedFor, waitingID, alive, lazy }: RestoreView,
  no: (reason: string, message: string) => T,
): T | undefined {
  if (stagedFor === undefined) {
    return no('StagingLost', `container ${name}: nothing of its checkpoint is on the node; did the node reboot?`)
  }
  if (waitingID !== stagedFor || !alive) {
    return gone(name, no)
  }
  return lazy === undefined || lazy.is === 'running' ? undefined : lazyEnded(name, no)
}

const gone = <T>(name: string, no: (reason: string, message: string) => T): T =>
  no('ContainerReplaced', `container ${name}: the container that waited for its checkpoint has ended`)

const lazyEnded = <T>(name: string, no: (reason: string, message: string) => T): T =>
  no('LazyPagesLost', `container ${name}: criu lazy-pages ended before the process ran`)

const isComplete = (lazy: JobState) => lazy.is === 'ended' && lazy.exitCode === 0
