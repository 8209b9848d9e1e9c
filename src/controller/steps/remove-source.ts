/** Steps 10 to 13: the destination runs, so the source may go. */
import { condition, isTrue, rollbackCause } from '../../api/conditions.ts'
import { isPodReady } from '../../api/pod.ts'
import { isRecreated, isSentBack } from '../../api/recreated.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Plan, pullPodRemoval, type Step, write } from '../step.ts'
import { rolledBack, succeeded } from '../summary.ts'
import { adoption, awaitAdoption } from './adopt.ts'

/** The program is frozen and will be killed by the agent; kubelet only has to take the pod down. */
const GRACE_SECONDS = 1
/**
 * The agent has killed all processes of the pod and says that nothing of it is left: an empty sandbox is no reason to wait for kubelet,
 * which takes a second or two for it and goes on with that by itself.
 */
const AT_ONCE = 0

/** Kubelet tells of a container that runs within a second or two; a pod with a slow readiness probe is not waited for. */
const READY_PATIENCE_MS = 5_000

/** Pods are not watched (a cluster's worth of them would not fit our memory), so the last wait looks often. */
const SETTLE_MS = 200
const COUNT_MS = 100
const GONE_MS = 20

export const removeSource: Step = (snapshot, now) => {
  const { migration, sourcePod } = snapshot
  const { status } = migration
  if (!isTrue(status, 'Restored') || rollbackCause(status)) return undefined
  // In mode Live the source has the pages that the destination still lacks.
  if (status?.mode === 'Live' && !isTrue(status, 'Delivered')) return undefined

  const adopting = adoption(snapshot)
  if (adopting) return adopting
  const source = sourcePod?.metadata.uid === status?.source?.podUID ? sourcePod : undefined
  if ((source || isRecreated(status)) && isUncounted(snapshot, now)) return { requeueAfterMs: COUNT_MS }
  const isDeleted = source?.metadata.deletionTimestamp !== undefined
  const isEmpty = status?.source?.cleanedAt !== undefined && source?.metadata.deletionGracePeriodSeconds !== AT_ONCE
  // Deleted first: kubelet starts what it finds dead in a pod that is not.
  if (source && (!isDeleted || isEmpty)) {
    const { name, uid } = source.metadata
    const graceSeconds = isDeleted ? AT_ONCE : GRACE_SECONDS
    return {
      commands: [{ do: 'deletePod', role: 'source', name, uid, graceSeconds }],
      requeueAfterMs: isDeleted ? GONE_MS : SETTLE_MS,
    }
  }
  if (!isTrue(status, 'SourceRemoved')) {
    const nodeExists = nodeNamed(snapshot, status?.source?.node) !== undefined
    if (source || (nodeExists && !status?.source?.cleanedAt)) return { requeueAfterMs: SETTLE_MS }
    const message = nodeExists
      ? `pod ${migration.spec.podName} is gone and node ${status?.source?.node} is clean`
      : `node ${status?.source?.node} left the cluster, and the source with it`
    const removed = write(snapshot, now, [
      { type: 'SourceRemoved', status: 'True', reason: 'SourcePodDeleted', message },
    ])
    // Mostly nothing else is left to be done, and the end is written with it.
    const next = removed.status && end({ ...snapshot, migration: { ...migration, status: removed.status } }, now)
    return next?.status ? next : removed
  }
  return end(snapshot, now)
}

/** The source is gone: what is left is the destination's. */
function end(snapshot: Snapshot, now: Date): Plan {
  const { status } = snapshot.migration
  const destinationClean = status?.destination?.cleanedAt || !nodeNamed(snapshot, status?.destination?.node)
  if (!destinationClean) return { requeueAfterMs: SETTLE_MS }
  return (
    pullPodRemoval(snapshot) ??
    awaitAdoption(snapshot, now) ??
    (isSentBack(status) ? rolledBack(snapshot, now) : succeeded(snapshot, now))
  )
}

/** As long as kubelet has not said that the destination is Ready, owners do not count it and Services do not lead to it. */
function isUncounted({ migration, sourcePod, destinationPod }: Snapshot, now: Date): boolean {
  const restoredAt = condition(migration.status, 'Restored')?.lastTransitionTime
  if (!destinationPod || restoredAt === undefined || isPodReady(destinationPod)) return false
  // Recreated: the source is gone already, and was Ready for all we know.
  if (!isRecreated(migration.status) && (!isPodReady(sourcePod) || sourcePod?.metadata.deletionTimestamp)) return false
  return now.getTime() - Date.parse(restoredAt) < READY_PATIENCE_MS
}
