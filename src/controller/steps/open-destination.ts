/** Mode Live, step 2: the destination pod is made before anything is dumped. It waits; only the agents know for what. */
import { truth } from '../../api/conditions.ts'
import { hasLeft } from '../owner.ts'
import { isWaitingPod, waitingPod } from '../pods.ts'
import { pullPodRemoval, type Step, write } from '../step.ts'

/** Pods are not watched: we look ourselves for the UID of the one that was asked for. */
const CREATED_MS = 50

export const openDestination: Step = (snapshot, now) => {
  const { migration, sourcePod, destinationPod: pod } = snapshot
  const { status } = migration
  if (status?.mode !== 'Live' || truth(status, 'Committed') !== 'Unknown') return undefined
  // Made once: a pod that is gone again is a reason to abort, not to make another.
  if (!status.destination || status.destination.podUID !== undefined) return undefined
  if (pod && isWaitingPod(migration, pod)) {
    const { name: podName, uid: podUID } = pod.metadata
    return write(snapshot, now, [], { destination: { ...status.destination, podName, podUID } })
  }
  const owner = status.source?.owner
  // A ReplicaSet makes the pod itself; a Job is told of it when it has all its state, and must have let go of the source.
  const isOurs = owner === undefined || (owner.kind === 'Job' && sourcePod && hasLeft(migration, sourcePod, owner))
  if (pod || !sourcePod || !isOurs) return undefined
  // It takes the room that the pull pod has held for it.
  const create = { do: 'createPod', role: 'destination', pod: waitingPod(migration, sourcePod) } as const
  return pullPodRemoval(snapshot) ?? { commands: [create], requeueAfterMs: CREATED_MS }
}
