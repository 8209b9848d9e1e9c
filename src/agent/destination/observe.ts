/** What became of a restore, by what kubelet and runtime say. Pure. */
import type { Pod } from '../../api/pod.ts'
import type { CriContainer } from '../runtime/cri.ts'

export interface RestoreView {
  /** The destination pod; undefined while it is not known or gone. */
  pod: Pod | undefined
  /** All attempts of all containers of that pod. */
  attempts: readonly CriContainer[]
  /** Container name → image reference that its restore must come from. */
  expected: ReadonlyMap<string, string>
  /** Since when each look has seen an error of the same pod, in milliseconds since 1970; undefined when the last one saw none. */
  failingSince: number | undefined
  /** Milliseconds since 1970. */
  now: number
}

export type Verdict =
  /** @param failing kubelet or runtime report an error; both try again by themselves */
  | { kind: 'waiting'; failing: boolean }
  /** @param restoredAt RFC 3339 with nanoseconds: when the last container was running again */
  | { kind: 'restored'; restoredAt: string }
  | { kind: 'failed'; reason: string; message: string }

/** A restore may fail once for no lasting reason (containerd #12980); then kubelet tries again. */
const ATTEMPTS = 2
const FAILING_MS = 15_000
/** Kubelet's own limits (mount 2 min, create 2 min, start 2 min) are over by then. */
const PATIENCE_MS = 7 * 60_000

const WAITING_ERRORS: ReadonlySet<string> = new Set([
  'CreateContainerError',
  'CreateContainerConfigError',
  'RunContainerError',
  'CrashLoopBackOff',
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'ImageInspectError',
  'CreatePodSandboxError',
])

export function judgeRestore(view: RestoreView): Verdict {
  const { expected, attempts, pod, now } = view
  const ran = firstRuns(attempts.filter(({ metadata }) => expected.has(metadata.name)))
  const cold = ran.find((attempt) => !isRestored(attempt, expected.get(attempt.metadata.name) ?? ''))
  if (cold) {
    const message = `container ${cold.metadata.name} was started afresh instead of from its checkpoint: the runtime did not recognize the checkpoint image`
    return fail('ColdStart', message, ran)
  }
  if (ran.length === expected.size) return restored(ran)

  const error = errorOf(view)
  if (pod?.status?.phase === 'Failed' || pod?.status?.phase === 'Succeeded') {
    const { reason, message } = pod.status
    const why = [reason, message].filter(Boolean).join(': ') || error || 'kubelet gave up'
    return fail('PodFailed', `the destination pod ended before it ran (${why})`, ran)
  }
  const failedStarts = attempts.filter((attempt) => expected.has(attempt.metadata.name) && isFailedStart(attempt))
  const since = view.failingSince
  if (error && (failedStarts.length >= ATTEMPTS || (since !== undefined && now - since >= FAILING_MS))) {
    return fail('RestoreFailed', error, ran)
  }
  if (pod && now - Date.parse(pod.metadata.creationTimestamp) >= PATIENCE_MS) {
    const message = `the destination pod did not run within ${PATIENCE_MS / 60_000} minutes (${error ?? lastWord(pod)})`
    return fail('RestoreTimedOut', message, ran)
  }
  return { kind: 'waiting', failing: error !== undefined }
}

/**
 * Whether a failure that was seen before the images were taken away is one still: from then on nothing more is made of them, so only
 * a container that is there already could start.
 */
export function isFinal(view: RestoreView): boolean {
  const verdict = judgeRestore(view)
  if (verdict.kind !== 'failed') return false
  return verdict.reason !== 'RestoreFailed' || view.attempts.every(({ state }) => state !== 'CONTAINER_CREATED')
}

/** The runtime's own mark, put on a container that it made from a checkpoint; a name alone proves nothing. */
function isRestored({ annotations }: CriContainer, image: string): boolean {
  // Kubelets before 1.30 do not tell the runtime the name that the user wrote; the mark is then without it.
  const from = annotations.checkpointImage ?? ''
  return annotations.restored === 'true' && (from === image || from === '')
}

const isFailedStart = ({ state, startedAt }: CriContainer) => state === 'CONTAINER_EXITED' && startedAt === '0'

/** Each container counts from its first run: a later attempt is a restart of what had been restored. */
function firstRuns(attempts: readonly CriContainer[]): CriContainer[] {
  const first = new Map<string, CriContainer>()
  for (const attempt of attempts) {
    const known = first.get(attempt.metadata.name)
    if (attempt.startedAt === '0') continue
    if (!known || BigInt(attempt.startedAt) < BigInt(known.startedAt)) first.set(attempt.metadata.name, attempt)
  }
  return [...first.values()]
}

function restored(ran: readonly CriContainer[]): Verdict {
  const times = ran.map(({ startedAt }) => BigInt(startedAt)).sort((a, b) => (a < b ? -1 : 1))
  return { kind: 'restored', restoredAt: toTimestamp(times.at(-1) ?? 0n) }
}

/** @returns what kubelet or the runtime complain of; the runtime's words first, they are whole */
function errorOf({ attempts, expected, pod }: RestoreView): string | undefined {
  const failed = attempts.findLast((attempt) => expected.has(attempt.metadata.name) && isFailedStart(attempt))
  if (failed) return `container ${failed.metadata.name}: ${failed.message || failed.reason}`
  const status = pod?.status?.containerStatuses?.find(({ state }) => WAITING_ERRORS.has(state?.waiting?.reason ?? ''))
  const waiting = status?.state?.waiting
  return waiting && `container ${status.name}: ${waiting.reason}: ${waiting.message ?? ''}`
}

function lastWord(pod: Pod): string {
  const unmet = pod.status?.conditions?.find(({ status, message }) => status === 'False' && message)
  return (
    unmet?.message ?? `phase ${pod.status?.phase ?? 'unknown'}; kubectl describe pod ${pod.metadata.name} tells more`
  )
}

function fail(reason: string, message: string, ran: readonly CriContainer[]): Verdict {
  const names = ran.map(({ metadata }) => metadata.name)
  const undone = names.length > 0 ? `; what ${names.join(', ')} did at the destination meanwhile is undone` : ''
  return { kind: 'failed', reason, message: `${message}${undone}` }
}

/** @param nanoseconds since 1970 */
export function toTimestamp(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000_000n) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}Z`
}
