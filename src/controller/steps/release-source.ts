/** Mode Live, step 2 of a pod with an owner: the source leaves it. A ReplicaSet then makes the destination itself; of a Job we do. */
import { truth } from '../../api/conditions.ts'
import { messageOf, type Refusal } from '../../api/finding.ts'
import { webhookDead } from '../checks/owner-checks.ts'
import { isReleased, type Owner, releaseMarks } from '../owner.ts'
import type { Snapshot } from '../snapshot.ts'
import { pullPodRemoval, type Step, write } from '../step.ts'

/** Pods are not watched: we look ourselves for what the ReplicaSet makes. */
const LOOK_MS = 50
/** The API server takes a moment to see what the webhook is to be asked for. */
const PROBE_MS = 100
const PROBE_PATIENCE_MS = 15_000
/** A ReplicaSet that can make a pod makes it within a second. */
const REPLACEMENT_PATIENCE_MS = 20_000

export const releaseSource: Step = (snapshot, now) => {
  const { migration, sourcePod, webhook } = snapshot
  const { status } = migration
  const { source, destination } = status ?? {}
  if (!source || !isReleasable(source.owner) || truth(status, 'Committed') !== 'Unknown' || !sourcePod) return undefined
  if (!destination || destination.podUID !== undefined) return undefined
  // The replacement takes the room that the pull pod has held for it.
  const removal = pullPodRemoval(snapshot)
  if (removal) return removal
  if (source.releasedAt === undefined) {
    if (webhook !== 'alive') return { requeueAfterMs: PROBE_MS }
    return write(snapshot, now, [], { source: { ...source, releasedAt: now.toISOString() } })
  }
  if (isReleased(migration, sourcePod)) return { requeueAfterMs: LOOK_MS }
  const marks = releaseMarks(migration, sourcePod)
  return { commands: [{ do: 'markPod', why: 'release', pod: sourcePod, marks }], requeueAfterMs: LOOK_MS }
}

const isReleasable = (owner: Owner | undefined): boolean => owner?.kind === 'ReplicaSet' || owner?.kind === 'Job'

/** @returns why the owner does not make the destination, once it is clear that it won't */
export function replacementFinding({ migration, webhook }: Snapshot, now: Date): Refusal | undefined {
  const { source, destination, timings } = migration.status ?? {}
  if (!source?.owner || destination?.podUID !== undefined) return undefined
  const { name } = source.owner
  const since = (at: string | undefined) => (at === undefined ? 0 : now.getTime() - Date.parse(at))
  if (source.releasedAt === undefined) {
    if (webhook === undefined || webhook === 'alive' || since(timings?.acceptedAt) < PROBE_PATIENCE_MS) return undefined
    const { code: reason, ...finding } = webhookDead(webhook.dead)
    return { reason, message: messageOf({ code: reason, ...finding }) }
  }
  if (!isReleasable(source.owner) || since(source.releasedAt) < REPLACEMENT_PATIENCE_MS) return undefined
  if (source.owner.kind === 'Job') {
    const seconds = REPLACEMENT_PATIENCE_MS / 1000
    const message = `Job ${name} did not let go of the pod, or the API server did not take the destination, within ${seconds} s; is kube-controller-manager running? Start the move again`
    return { reason: 'ReplacementNotMade', message }
  }
  const why =
    destination?.claim === undefined
      ? 'it was scaled down meanwhile, or the API server could not ask the webhook'
      : 'the API server did not take it (see the events of the ReplicaSet), or it was deleted at once'
  return {
    reason: 'ReplacementNotMade',
    message: `ReplicaSet ${name} made no pod for the destination within ${REPLACEMENT_PATIENCE_MS / 1000} s: ${why}. Start the move again`,
  }
}
