/**
 * After the commit of a pod that is recreated: its object goes; then the StatefulSet makes it anew and the webhook makes that the
 * destination, or, without an owner, the controller makes it.
 */
import { isFalse, isTrue, truth } from '../../api/conditions.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { isHopeless, isRecreated, isSentBack, OWNER_GONE } from '../../api/recreated.ts'
import { sourceFrom } from '../manifest.ts'
import { goneFrom, type Owner } from '../owner.ts'
import { destinationPod, freshPod, isFreshPod } from '../pods.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'
import { outage } from './outage.ts'

/** Pods are not watched. */
const LOOK_MS = 200
/** The program is frozen and is killed by the agent before it could run on; kubelet takes down the rest, and lets go of the volumes. */
const GRACE_SECONDS = 1

export const restoreRecreated: Step = (snapshot, now) => {
  const { migration, sourcePod, destinationPod: pod } = snapshot
  const { status } = migration
  const { source, destination } = status ?? {}
  if (!isRecreated(status) || !source || !destination) return undefined
  if (!isTrue(status, 'Committed') || truth(status, 'Restored') !== 'Unknown') return undefined
  if (sourcePod) return removal(sourcePod, 'source')
  const away = outage(snapshot, now)
  if (away) return away
  if (isFalse(status, 'Delivered'))
    return giveUp(snapshot, now, `the checkpoint is not to be had on node ${source.node} any more`, 'CheckpointLost')
  if (!pod) return source.owner ? awaitOwner(snapshot, now, source.owner) : make(snapshot, now)
  if (pod.metadata.labels?.[MIGRATION_UID_LABEL] !== migration.metadata.uid) {
    const message = source.owner
      ? `pod ${pod.metadata.name} was made past podferry's webhook`
      : `there is a foreign pod under the name ${pod.metadata.name}`
    return giveUp(snapshot, now, message, 'NameTaken')
  }
  // Made late, by a view of before it was sent back; its owner, if it has one, asks the webhook each time.
  if (!source.owner && pod.spec.nodeName !== destination.node) return removal(pod, 'destination')
  if (pod.metadata.uid === destination.podUID || pod.spec.nodeName !== destination.node)
    return { requeueAfterMs: LOOK_MS }
  return write(snapshot, now, [], { destination: { ...destination, podUID: pod.metadata.uid } })
}

/** Never by force: a volume is free for another node when kubelet says that the pod is gone. */
function removal({ metadata: { name, uid, deletionTimestamp } }: Pod, role: 'source' | 'destination'): Plan {
  const command = { do: 'deletePod', role, name, uid, graceSeconds: GRACE_SECONDS } as const
  return { ...(deletionTimestamp ? {} : { commands: [command] }), requeueAfterMs: LOOK_MS }
}

function awaitOwner(snapshot: Snapshot, now: Date, owner: Owner): Plan {
  const { status, spec } = snapshot.migration
  const gone = goneFrom(snapshot.owner, owner, spec.podName)
  if (gone !== undefined) return giveUp(snapshot, now, gone, OWNER_GONE)
  if (status?.destination?.podUID === undefined) return { requeueAfterMs: LOOK_MS }
  // Deleted before it ran, by a drain perhaps. Nothing is lost: the next one is restored as well.
  const { podUID: _gone, ...open } = status.destination
  return write(snapshot, now, [], { destination: open })
}

/** By its name it is the only one; the object of the source is gone, and with it the source node's hold on the volumes. */
function make(snapshot: Snapshot, now: Date): Plan {
  const { migration } = snapshot
  const { podName, podUID } = migration.status?.destination ?? {}
  if (podUID !== undefined)
    return giveUp(snapshot, now, `destination pod ${podName} was deleted before it ran`, 'DestinationPodDeleted')
  const source = sourceFrom(migration)
  // On the way back the archive comes first: kubelet would ask for an image that is not there yet.
  if (!source || !isTrue(migration.status, 'Delivered')) return { requeueAfterMs: LOOK_MS }
  const pod = destinationPod(migration, source)
  return { commands: [{ do: 'createPod', role: 'destination', pod }], requeueAfterMs: LOOK_MS }
}

function giveUp(snapshot: Snapshot, now: Date, message: string, reason: string): Plan {
  const failure = snapshot.migration.status?.failure ?? failureOf({ reason, message })
  return write(snapshot, now, [{ type: 'Restored', status: 'False', reason, message }], { failure })
}

/**
 * The restore failed, and nothing of it is left: once more, at the source, from the copy that was kept there.
 *
 * @returns undefined where there is no way back, or none is needed
 */
export function sendBack(snapshot: Snapshot, now: Date): Plan | undefined {
  const { status, spec } = snapshot.migration
  const { source, destination, containers } = status ?? {}
  if (!isRecreated(status) || !isFalse(status, 'Restored') || isHopeless(status) || !source || !destination)
    return undefined
  if (!nodeNamed(snapshot, source.node)) return undefined
  // Until the agent has proved that nothing runs, and for as long as its own pod is on its way out.
  if (destination.removedAt === undefined || source.emptiedAt === undefined) return { requeueAfterMs: LOOK_MS }
  const message = `pod ${spec.podName} comes back to node ${source.node}, from the checkpoint kept there`
  const undecided = { status: 'Unknown', reason: 'SentBack', message } as const
  return write(
    snapshot,
    now,
    [
      { type: 'Delivered', ...undecided },
      { type: 'Restored', ...undecided },
    ],
    {
      destination: { node: source.node, podName: spec.podName },
      containers: (containers ?? []).map(({ digest: _there, ...container }) => container),
    },
  )
}

/**
 * Its state can be restored nowhere and stays on the source node. A StatefulSet makes the pod anew by itself; one that nobody owns
 * would be gone with all that it serves.
 *
 * @returns undefined when it is there, or need not be
 */
export function startAfresh({ migration, destinationPod: pod }: Snapshot): Plan | undefined {
  const { status } = migration
  if (!isRecreated(status) || status?.source?.owner || !isTrue(status, 'Committed') || pod) return undefined
  const source = sourceFrom(migration)
  if (!source || !restarts(source)) return undefined
  const made = freshPod(migration, source)
  return { commands: [{ do: 'createPod', role: 'source', pod: made }], requeueAfterMs: LOOK_MS }
}

/** What may run to its end once must not begin twice by our doing. */
const restarts = ({ spec: { restartPolicy = 'Always' } }: Pod): boolean => restartPolicy === 'Always'

/** @returns how a move ended that did not reach its destination */
export function returnOutcome(snapshot: Snapshot): string | undefined {
  const { migration } = snapshot
  const { status, spec } = migration
  if (!isRecreated(status) || !isTrue(status, 'Committed')) return undefined
  const { node, owner, kept = [] } = status?.source ?? {}
  if (isSentBack(status) && isTrue(status, 'Restored'))
    return `pod ${spec.podName} runs on at ${node}, restored from the checkpoint kept there`
  if (kept.length === 0 && owner) return 'the pod was removed by somebody else'
  const isFresh = snapshot.destinationPod && isFreshPod(migration, snapshot.destinationPod)
  const next = owner
    ? 'its StatefulSet starts it afresh'
    : isFresh
      ? 'it was started afresh'
      : 'it was not started afresh'
  const state = kept.length === 0 ? 'its state is lost' : `its state is kept on node ${node} (${kept.join(', ')})`
  return `pod ${spec.podName} could be restored nowhere, ${next}; ${state}: see docs/operations.md`
}
