/** Steps 8 and 9: after the commit the destination pod is made once; its agent says whether it runs from the checkpoint. */
import { isTrue, rollbackCause, truth } from '../../api/conditions.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { isRecreated } from '../../api/recreated.ts'
import { destinationPod, destinationPodName, isWaitingPod, waitingPod } from '../pods.ts'
import type { Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'
import { abortBecause } from './abort.ts'
import { outage } from './outage.ts'

/** Pods are not watched. */
const LOOK_MS = 5000
/** The agent that unpacks for it waits for its UID. */
const CREATED_MS = 100

export const restore: Step = (snapshot, now) => {
  const { migration } = snapshot
  const { status } = migration
  // Another pod may have taken the name since: only the accepted one may be copied.
  const sourcePod = snapshot.sourcePod?.metadata.uid === status?.source?.podUID ? snapshot.sourcePod : undefined
  if (!isTrue(status, 'Committed') || status?.mode === 'Live' || isRecreated(status)) return undefined
  if (rollbackCause(status)) return undefined
  const away = outage(snapshot, now)
  if (away || truth(status, 'Restored') !== 'Unknown') return away

  const pod = snapshot.destinationPod
  const isWrapped = status?.destination?.restorer === 'Wrapper'
  const isOurs = (found: Pod) =>
    isWrapped && found.metadata.uid !== status?.destination?.podUID
      ? isWaitingPod(migration, found)
      : found.metadata.labels?.[MIGRATION_UID_LABEL] === migration.metadata.uid
  if (pod && !isOurs(pod)) {
    return giveUp(
      snapshot,
      now,
      `there is a foreign pod under the destination's name ${pod.metadata.name}`,
      'NameTaken',
    )
  }
  if (!pod && status?.destination?.podUID !== undefined) {
    return giveUp(
      snapshot,
      now,
      `destination pod ${status.destination.podName} was deleted before it ran`,
      'DestinationPodDeleted',
    )
  }
  if (!pod && !sourcePod) return giveUp(snapshot, now, 'the source pod was deleted by force', 'PodGone')
  if (!pod && sourcePod) {
    const made = (isWrapped ? waitingPod : destinationPod)(migration, sourcePod)
    return {
      commands: [{ do: 'createPod', role: 'destination', pod: made }],
      requeueAfterMs: isWrapped ? CREATED_MS : 1000,
    }
  }
  if (pod && status?.destination && status.destination.podUID === undefined) {
    const { name, uid } = pod.metadata
    return write(snapshot, now, [], { destination: { ...status.destination, podName: name, podUID: uid } })
  }
  return { requeueAfterMs: LOOK_MS }
}

/** Mode Live, steps 9 and 10: the agents restore and stream; the controller only sees whether there is still a pod to restore. */
export const restoreLive: Step = (snapshot, now) => {
  const { status } = snapshot.migration
  if (status?.mode !== 'Live' || !isTrue(status, 'Committed') || rollbackCause(status)) return undefined
  const away = outage(snapshot, now)
  if (away) return away
  if (isTrue(status, 'Restored')) return isTrue(status, 'Delivered') ? undefined : { requeueAfterMs: LOOK_MS }
  // Nothing here tells a restore that has not begun from one that nobody has told of yet: the agent proves that nothing runs.
  return snapshot.destinationPod?.metadata.uid === status.destination?.podUID
    ? { requeueAfterMs: LOOK_MS }
    : giveUp(
        snapshot,
        now,
        `destination pod ${status.destination?.podName} was deleted before it was seen running`,
        'DestinationPodDeleted',
      )
}

/** The API server will never take the destination pod as it is (quota, admission, an invalid field). */
export function podRejected(snapshot: Snapshot, now: Date, words: string): Plan {
  const finding = { reason: 'PodRejected', message: `the API server refuses the destination pod: ${words}` }
  return truth(snapshot.migration.status, 'Committed') === 'Unknown'
    ? abortBecause(snapshot, now, finding)
    : giveUp(snapshot, now, finding.message, finding.reason)
}

/** Restored=False is final: nothing of the destination may run any more, so that the source can be thawed. */
function giveUp(snapshot: Snapshot, now: Date, message: string, reason: string): Plan {
  const failure = failureOf({ reason, message })
  return write(snapshot, now, [{ type: 'Restored', status: 'False', reason, message }], { failure })
}

/** The name under which gather looks for the destination pod. */
export const expectedPodName = ({
  migration,
  sourcePod,
}: Pick<Snapshot, 'migration' | 'sourcePod'>): string | undefined =>
  migration.status?.destination?.podName ?? (sourcePod && destinationPodName(migration, sourcePod))
