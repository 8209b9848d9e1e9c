/** Steps 8 and 9: after the commit the destination pod is made once; its agent says whether it runs from the checkpoint. */
import { condition, isTrue, truth } from '../../api/conditions.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import { isNodeReady } from '../../api/pod.ts'
import { destinationPod, destinationPodName } from '../pods.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'

export const restore: Step = (snapshot, now) => {
  const { migration } = snapshot
  const { status } = migration
  // Another pod may have taken the name since: only the accepted one may be copied.
  const sourcePod = snapshot.sourcePod?.metadata.uid === status?.source?.podUID ? snapshot.sourcePod : undefined
  if (!isTrue(status, 'Committed') || truth(status, 'Restored') !== 'Unknown') return undefined
  if (!isNodeReady(nodeNamed(snapshot, status?.destination?.node))) return reportLost(snapshot, now)

  const pod = snapshot.destinationPod
  if (pod && pod.metadata.labels?.[MIGRATION_UID_LABEL] !== migration.metadata.uid) {
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
    return {
      commands: [{ do: 'createPod', role: 'destination', pod: destinationPod(migration, sourcePod) }],
      requeueAfterMs: 1000,
    }
  }
  if (pod && status?.destination && status.destination.podUID === undefined) {
    const { name, uid } = pod.metadata
    return write(snapshot, now, [], { destination: { ...status.destination, podName: name, podUID: uid } })
  }
  return { requeueAfterMs: 5000 }
}

/** The API server will never take the destination pod as it is (quota, admission, an invalid field). */
export const podRejected = (snapshot: Snapshot, now: Date, message: string): Plan =>
  giveUp(snapshot, now, `the API server refuses the destination pod: ${message}`, 'PodRejected')

/** Restored=False is final: nothing of the destination may run any more, so that the source can be thawed. */
function giveUp(snapshot: Snapshot, now: Date, message: string, reason: string): Plan {
  const failure = failureOf({ reason, message })
  return write(snapshot, now, [{ type: 'Restored', status: 'False', reason, message }], { failure })
}

/** A silent node may run the pod or not: nothing is assumed, the source stays fenced until the node or a person speaks. */
function reportLost(snapshot: Snapshot, now: Date): Plan {
  const { status } = snapshot.migration
  if (condition(status, 'Restored')?.reason === 'DestinationLost') return { requeueAfterMs: 5000 }
  const message = `node ${status?.destination?.node} went silent after the commit; the source stays frozen until the node is back`
  return write(snapshot, now, [{ type: 'Restored', status: 'Unknown', reason: 'DestinationLost', message }])
}

/** The name under which gather looks for the destination pod. */
export const expectedPodName = ({
  migration,
  sourcePod,
}: Pick<Snapshot, 'migration' | 'sourcePod'>): string | undefined =>
  migration.status?.destination?.podName ?? (sourcePod && destinationPodName(migration, sourcePod))
