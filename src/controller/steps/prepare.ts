/** Steps 3 to 7: the base images come to the destination, then the agents work; the commit is our one write. */
import { condition, isTrue, truth } from '../../api/conditions.ts'
import { isRecreated } from '../../api/recreated.ts'
import { manifestOf } from '../manifest.ts'
import { pullPod } from '../pods.ts'
import { pullPodRemoval, type Step, write } from '../step.ts'

export const pullImages: Step = (snapshot) => {
  const { migration, sourcePod } = snapshot
  // In mode Live kubelet pulls for the destination pod itself, as far as the first container.
  if (truth(migration.status, 'Committed') !== 'Unknown') return undefined
  const ready = condition(migration.status, 'DestinationReady')
  if (ready?.status === 'True') return pullPodRemoval(snapshot)
  if (ready?.reason !== 'ImagesMissing' || snapshot.pullPod || !sourcePod) return undefined
  return { commands: [{ do: 'createPod', role: 'pull', pod: pullPod(migration, sourcePod, []) }], requeueAfterMs: 1000 }
}

/** Pods are not watched. */
const LOOK_MS = 5000
/** An owner that is scaled down deletes the pod that waits: to be seen before the source agent commits. */
const OWNED_LOOK_MS = 200

/** From here on only the destination may run. The resourceVersion precondition lets exactly one of commit and abort win. */
export const commit: Step = (snapshot, now) => {
  const { status, spec } = snapshot.migration
  if (truth(status, 'Committed') !== 'Unknown') return undefined
  // In mode Live the source agent commits: nobody else knows that everything is staged.
  if (status?.mode === 'Live' || !isTrue(status, 'Delivered') || !isTrue(status, 'Checkpointed')) {
    const deadline = Date.parse(status?.timings?.acceptedAt ?? now.toISOString()) + spec.timeoutSeconds * 1000
    const lookMs = status?.source?.owner && !isRecreated(status) ? OWNED_LOOK_MS : LOOK_MS
    return { requeueAfterMs: Math.max(100, Math.min(deadline - now.getTime(), lookMs)) }
  }
  const { sourcePod, webhook } = snapshot
  const recreated = isRecreated(status) ? status?.source : undefined
  // From the commit on nothing but the webhook keeps the StatefulSet from starting the pod afresh.
  if (recreated?.owner && webhook !== 'alive') return { requeueAfterMs: OWNED_LOOK_MS }
  if (recreated && !sourcePod) return { requeueAfterMs: OWNED_LOOK_MS }
  const message = `from now on only node ${status?.destination?.node} may run the pod`
  return write(snapshot, now, [{ type: 'Committed', status: 'True', reason: 'CheckpointDelivered', message }], {
    timings: { ...status?.timings, committedAt: now.toISOString() },
    ...(recreated && sourcePod ? { source: { ...recreated, manifest: manifestOf(sourcePod) } } : {}),
  })
}
