/** What became of the restores, by what wrappers and CRIU have left. Pure. */
import type { JobState } from '../../jobs/jobs.ts'
import { toTimestamp } from '../observe.ts'
import type { Outcome } from './staging.ts'

export interface RestoreView {
  name: string
  /** The container that the state was staged for; undefined when nothing was staged here, as after a reboot. */
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
  lazy: JobState
}

export type LiveVerdict =
  | { kind: 'waiting' }
  /** @param restoredAt RFC 3339 with nanoseconds: when the last container was running again */
  | { kind: 'restored'; restoredAt: string }
  /** @param container the first that failed */
  | { kind: 'failed'; container: string; reason: string; message: string }

/** runc is not waited for longer; kubelet's own limit for the whole creation is two minutes. */
const PATIENCE_MS = 60_000

/** @param now milliseconds since 1970 */
export function judgeRestores(containers: readonly RestoreView[], now: number): LiveVerdict {
  const failed = containers.flatMap((view) => failureOf(view, now) ?? [])
  const ran = containers.filter(isRestored)
  const first = failed[0]
  if (first !== undefined) {
    const names = ran.map(({ name }) => name).join(', ')
    const undone = names === '' ? '' : `; what ${names} did at the destination meanwhile is undone`
    return { ...first, message: `${first.message}${undone}` }
  }
  if (ran.length < containers.length) return { kind: 'waiting' }
  const times = ran.map(({ outcome }) => outcome?.at ?? 0n).sort((a, b) => (a < b ? -1 : 1))
  return { kind: 'restored', restoredAt: toTimestamp(times.at(-1) ?? 0n) }
}

const isRestored = ({ outcome, finished }: RestoreView) => outcome?.restored === true && finished

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
  if (lazy.is !== 'running' && !isComplete(lazy)) return lazyEnded(container, no)
  if (now - usedAt < PATIENCE_MS) return undefined
  return no('RestoreTimedOut', `container ${container}: runc restore did not end within ${PATIENCE_MS / 1000} s`)
}

function beforeUse<T>(
  { name, stagedFor, waitingID, alive, lazy }: RestoreView,
  no: (reason: string, message: string) => T,
): T | undefined {
  if (stagedFor === undefined) {
    return no('StagingLost', `container ${name}: nothing of its checkpoint is on the node; did the node reboot?`)
  }
  if (waitingID !== stagedFor || !alive) {
    return no('ContainerReplaced', `container ${name}: the container that waited for its checkpoint has ended`)
  }
  return lazy.is === 'running' ? undefined : lazyEnded(name, no)
}

const lazyEnded = <T>(name: string, no: (reason: string, message: string) => T): T =>
  no('LazyPagesLost', `container ${name}: criu lazy-pages ended before the process ran`)

const isComplete = (lazy: JobState) => lazy.is === 'ended' && lazy.exitCode === 0
