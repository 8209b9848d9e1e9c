/** After the commit of a pod of a StatefulSet: its object goes, the StatefulSet makes it anew, the webhook makes that the destination. */
import { isFalse, isTrue, truth } from '../../api/conditions.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import { isHopeless, isSentBack, isStateful, OWNER_GONE } from '../../api/stateful.ts'
import { goneFrom } from '../owner.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'
import { outage } from './outage.ts'

/** Pods are not watched. */
const LOOK_MS = 200
/** The program is frozen and is killed by the agent before it could run on; kubelet takes down the rest, and lets go of the volumes. */
const GRACE_SECONDS = 1

export const restoreStateful: Step = (snapshot, now) => {
  const { migration, sourcePod, destinationPod: pod } = snapshot
  const { status } = migration
  const { source, destination } = status ?? {}
  if (!isStateful(status) || !source?.owner || !destination) return undefined
  if (!isTrue(status, 'Committed') || truth(status, 'Restored') !== 'Unknown') return undefined
  if (sourcePod) {
    const { name, uid, deletionTimestamp } = sourcePod.metadata
    // Never by force: a volume is free for the destination when kubelet says that the pod is gone.
    const removal = { do: 'deletePod', role: 'source', name, uid, graceSeconds: GRACE_SECONDS } as const
    return { ...(deletionTimestamp ? {} : { commands: [removal] }), requeueAfterMs: LOOK_MS }
  }
  const away = outage(snapshot, now)
  if (away) return away
  if (isFalse(status, 'Delivered'))
    return giveUp(snapshot, now, `the checkpoint is not to be had on node ${source.node} any more`, 'CheckpointLost')
  if (!pod) {
    const gone = goneFrom(snapshot.owner, source.owner, migration.spec.podName)
    if (gone !== undefined) return giveUp(snapshot, now, gone, OWNER_GONE)
    if (destination.podUID === undefined) return { requeueAfterMs: LOOK_MS }
    // Deleted before it ran, by a drain perhaps. Nothing is lost: the next one is restored as well.
    const { podUID: _gone, ...open } = destination
    return write(snapshot, now, [], { destination: open })
  }
  if (pod.metadata.labels?.[MIGRATION_UID_LABEL] !== migration.metadata.uid) {
    const message = `pod ${pod.metadata.name} was made past podferry's webhook`
    return giveUp(snapshot, now, message, 'NameTaken')
  }
  if (pod.metadata.uid === destination.podUID || pod.spec.nodeName !== destination.node)
    return { requeueAfterMs: LOOK_MS }
  return write(snapshot, now, [], { destination: { ...destination, podUID: pod.metadata.uid } })
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
  if (!isStateful(status) || !isFalse(status, 'Restored') || isHopeless(status) || !source || !destination)
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

/** @returns how a move ended that did not reach its destination */
export function returnOutcome({ migration: { status, spec } }: Snapshot): string | undefined {
  if (!isStateful(status) || !isTrue(status, 'Committed')) return undefined
  const { node, kept = [] } = status?.source ?? {}
  if (isSentBack(status) && isTrue(status, 'Restored'))
    return `pod ${spec.podName} runs on at ${node}, restored from the checkpoint kept there`
  if (kept.length === 0) return 'the pod was removed by somebody else'
  return `pod ${spec.podName} could be restored nowhere, its StatefulSet starts it afresh; its state is kept on node ${node} (${kept.join(', ')}): see docs/operations.md`
}
