/** Before the commit: is there a reason to give up? The decision is one write of Committed=False. */
import { condition, isFalse, truth } from '../../api/conditions.ts'
import type { Refusal } from '../../api/finding.ts'
import { CANCEL_ANNOTATION } from '../../api/names.ts'
import { isWaitingPod } from '../pods.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'
import { pullError } from './pull-errors.ts'
import { replacementFinding } from './release-source.ts'

export const abort: Step = (snapshot, now) => {
  const { status } = snapshot.migration
  if (truth(status, 'Committed') !== 'Unknown') return undefined
  const finding = reasonToAbort(snapshot, now)
  return finding && abortBecause(snapshot, now, finding)
}

/** The write that decides against the move. */
export function abortBecause(snapshot: Snapshot, now: Date, finding: Refusal): Plan {
  // What an agent has found, with CRIU's own lines, says more than our summary of it.
  const failure = snapshot.migration.status?.failure ?? failureOf(finding)
  return write(snapshot, now, [{ type: 'Committed', status: 'False', ...finding }], { failure })
}

function reasonToAbort(snapshot: Snapshot, now: Date): Refusal | undefined {
  const { migration } = snapshot
  return (
    reportedFailure(snapshot) ??
    asked(snapshot) ??
    sourceGone(snapshot) ??
    nodeGone(snapshot) ??
    pullError(snapshot.pullPod, now) ??
    waitingPodLost(snapshot) ??
    replacementFinding(snapshot, now) ??
    (migration.status?.mode === 'Live' ? pullError(snapshot.destinationPod, now) : undefined) ??
    overdue(migration.status?.timings?.acceptedAt, migration.spec.timeoutSeconds, now)
  )
}

function reportedFailure({ migration: { status } }: Snapshot): Refusal | undefined {
  const type = (['DestinationReady', 'Checkpointed', 'Delivered'] as const).find((candidate) =>
    isFalse(status, candidate),
  )
  const failed = type && condition(status, type)
  return failed && { reason: failed.reason, message: failed.message }
}

function asked({ migration }: Snapshot): Refusal | undefined {
  if (migration.metadata.deletionTimestamp) return { reason: 'Cancelled', message: 'the Migration was deleted' }
  const by = migration.metadata.annotations?.[CANCEL_ANNOTATION]
  return by === undefined ? undefined : { reason: 'Cancelled', message: `cancelled by ${by || 'annotation'}` }
}

function sourceGone({ migration: { spec, status }, sourcePod }: Snapshot): Refusal | undefined {
  if (!sourcePod) return { reason: 'PodGone', message: `pod ${spec.podName} was deleted while it was being moved` }
  if (sourcePod.metadata.uid !== status?.source?.podUID) {
    return {
      reason: 'PodReplaced',
      message: `pod ${spec.podName} is another one now (UID ${sourcePod.metadata.uid}, accepted was ${status?.source?.podUID})`,
    }
  }
  return sourcePod.metadata.deletionTimestamp
    ? { reason: 'PodTerminating', message: `pod ${spec.podName} is being deleted: there is nothing left to move` }
    : undefined
}

function nodeGone(snapshot: Snapshot): Refusal | undefined {
  const node = snapshot.migration.status?.destination?.node
  return nodeNamed(snapshot, node)
    ? undefined
    : { reason: 'NodeNotFound', message: `destination node ${node} was removed from the cluster` }
}

/** Live: the destination pod waits from early on; without it there is nothing to commit to. */
function waitingPodLost({ migration, destinationPod: pod }: Snapshot): Refusal | undefined {
  const { mode, destination } = migration.status ?? {}
  if (mode !== 'Live') return undefined
  const known = destination?.podUID
  if (known === undefined && pod && !isWaitingPod(migration, pod)) {
    return { reason: 'NameTaken', message: `there is a foreign pod under the destination's name ${pod.metadata.name}` }
  }
  if ((known !== undefined && pod?.metadata.uid !== known) || pod?.metadata.deletionTimestamp) {
    return {
      reason: 'DestinationPodDeleted',
      message: `destination pod ${destination?.podName} was deleted while it waited for its state`,
    }
  }
  const { phase = '', reason = phase, message = '' } = pod?.status ?? {}
  return ['Failed', 'Succeeded'].includes(phase)
    ? {
        reason: 'PodFailed',
        message: `destination pod ${destination?.podName} ended before it got its state: ${reason} ${message}`,
      }
    : undefined
}

function overdue(acceptedAt: string | undefined, timeoutSeconds: number, now: Date): Refusal | undefined {
  if (acceptedAt === undefined || now.getTime() < Date.parse(acceptedAt) + timeoutSeconds * 1000) return undefined
  return {
    reason: 'TimedOut',
    message: `not ready to commit within spec.timeoutSeconds = ${timeoutSeconds}; raise it if the pod is large, or see the conditions for the step that hangs`,
  }
}
