/** Before the commit: is there a reason to give up? The decision is one write of Committed=False. */
import { condition, isFalse, truth } from '../../api/conditions.ts'
import { CANCEL_ANNOTATION } from '../../api/names.ts'
import type { Finding } from '../checks/check.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { failureOf, type Step, write } from '../step.ts'

/** A pull that fails for this long will not mend itself soon; the source loses nothing by an early answer. */
const PULL_PATIENCE_MS = 30_000

const PULL_ERRORS = ['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull']

export const abort: Step = (snapshot, now) => {
  const { status } = snapshot.migration
  if (truth(status, 'Committed') !== 'Unknown') return undefined
  const finding = reasonToAbort(snapshot, now)
  if (!finding) return undefined
  // What an agent has found, with CRIU's own lines, says more than our summary of it.
  const failure = status?.failure ?? failureOf(finding)
  return write(snapshot, now, [{ type: 'Committed', status: 'False', ...finding }], { failure })
}

function reasonToAbort(snapshot: Snapshot, now: Date): Finding | undefined {
  const { migration } = snapshot
  return (
    reportedFailure(snapshot) ??
    asked(snapshot) ??
    sourceGone(snapshot) ??
    nodeGone(snapshot) ??
    pullFailed(snapshot, now) ??
    overdue(migration.status?.timings?.acceptedAt, migration.spec.timeoutSeconds, now)
  )
}

function reportedFailure({ migration: { status } }: Snapshot): Finding | undefined {
  const type = (['DestinationReady', 'Checkpointed', 'Delivered'] as const).find((candidate) =>
    isFalse(status, candidate),
  )
  const failed = type && condition(status, type)
  return failed && { reason: failed.reason, message: failed.message }
}

function asked({ migration }: Snapshot): Finding | undefined {
  if (migration.metadata.deletionTimestamp) return { reason: 'Cancelled', message: 'the Migration was deleted' }
  const by = migration.metadata.annotations?.[CANCEL_ANNOTATION]
  return by === undefined ? undefined : { reason: 'Cancelled', message: `cancelled by ${by || 'annotation'}` }
}

function sourceGone({ migration: { spec, status }, sourcePod }: Snapshot): Finding | undefined {
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

function nodeGone(snapshot: Snapshot): Finding | undefined {
  const node = snapshot.migration.status?.destination?.node
  return nodeNamed(snapshot, node)
    ? undefined
    : { reason: 'NodeNotFound', message: `destination node ${node} was removed from the cluster` }
}

function pullFailed({ pullPod }: Snapshot, now: Date): Finding | undefined {
  const waiting = pullPod?.status?.containerStatuses?.find((s) => PULL_ERRORS.includes(s.state?.waiting?.reason ?? ''))
  if (!pullPod || !waiting || now.getTime() - Date.parse(pullPod.metadata.creationTimestamp) < PULL_PATIENCE_MS)
    return undefined
  return {
    reason: 'ImagePullFailed',
    message: `node ${pullPod.spec.nodeName} can't pull the image of container ${waiting.name}: ${waiting.state?.waiting?.message ?? waiting.state?.waiting?.reason}`,
  }
}

function overdue(acceptedAt: string | undefined, timeoutSeconds: number, now: Date): Finding | undefined {
  if (acceptedAt === undefined || now.getTime() < Date.parse(acceptedAt) + timeoutSeconds * 1000) return undefined
  return {
    reason: 'TimedOut',
    message: `not ready to commit within spec.timeoutSeconds = ${timeoutSeconds}; raise it if the pod is large, or see the conditions for the step that hangs`,
  }
}
