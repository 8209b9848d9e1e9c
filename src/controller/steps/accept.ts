/** Step 1: preflight. Ends in Accepted, with everything fixed that later steps rely on. */
import { truth } from '../../api/conditions.ts'
import type { Finding } from '../checks/check.ts'
import { judgeNode, nodeFinding, podFinding } from '../checks/preflight.ts'
import { containersOf, destinationPodName, pullPod } from '../pods.ts'
import type { Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'

/** How long the scheduler may take to find a node before the pod counts as unplaceable. */
const PLACEMENT_PATIENCE_MS = 20_000

/** What an update or a restart of podferry itself brings about for some seconds. */
const PASSING = ['NoAgent', 'NoRegistry']
const PASSING_MS = 10_000

const mayPass = ({ reason }: Finding, { metadata }: Snapshot['migration'], now: Date): boolean =>
  PASSING.includes(reason) && now.getTime() - Date.parse(metadata.creationTimestamp) < PASSING_MS

const refuse = (snapshot: Snapshot, now: Date, finding: Finding): Plan =>
  write(snapshot, now, [{ type: 'Accepted', status: 'False', ...finding }], { failure: failureOf(finding) })

export const accept: Step = (snapshot, now) => {
  const { migration, sourcePod } = snapshot
  if (truth(migration.status, 'Accepted') !== 'Unknown') return undefined
  if (migration.metadata.deletionTimestamp) {
    return refuse(snapshot, now, { reason: 'Cancelled', message: 'the Migration was deleted before it was accepted' })
  }
  const finding = podFinding(snapshot)
  if (finding || !sourcePod)
    return refuse(snapshot, now, finding ?? { reason: 'PodNotFound', message: 'the pod is gone' })

  const destination = migration.spec.destinationNode ?? snapshot.pullPod?.spec.nodeName
  if (!destination) return place(snapshot, now)
  const choice = judgeNode(snapshot, destination)
  if ('refused' in choice) {
    return mayPass(choice.refused, migration, now) ? { requeueAfterMs: 1000 } : refuse(snapshot, now, choice.refused)
  }

  const { mode, because } = choice
  const node = sourcePod.spec.nodeName ?? ''
  const why = because === undefined ? '' : `; not Live: ${because}`
  const message = `pod ${sourcePod.metadata.name} can move from ${node} to ${destination} in mode ${mode}${why}`
  return write(snapshot, now, [{ type: 'Accepted', status: 'True', reason: 'PreflightPassed', message }, pending], {
    mode,
    source: { node, podUID: sourcePod.metadata.uid },
    // The name is written down before there is such a pod: a rollback must find it even when the source pod is gone.
    destination: { node: destination, podName: destinationPodName(migration, sourcePod) },
    containers: containersOf(sourcePod),
    timings: { acceptedAt: now.toISOString() },
  })
}

/** `kubectl wait` and people see that the end is open. */
const pending = {
  type: 'Succeeded',
  status: 'Unknown',
  reason: 'InProgress',
  message: 'the migration is under way',
} as const

/** Without spec.destinationNode the scheduler decides: it is asked by means of the pull pod. */
function place(snapshot: Snapshot, now: Date): Plan {
  const { migration, sourcePod, nodes } = snapshot
  if (!sourcePod) return { requeueAfterMs: 1000 }
  if (!snapshot.pullPod) {
    const excluded = nodes.map((node) => node.metadata.name).filter((name) => nodeFinding(snapshot, name))
    if (excluded.length === nodes.length) {
      const reasons = nodes.map(({ metadata: { name } }) => `${name}: ${nodeFinding(snapshot, name)?.reason}`)
      return refuse(snapshot, now, {
        reason: 'NoNodeFits',
        message: `no node can be the destination (${reasons.join(', ')})`,
      })
    }
    return {
      commands: [{ do: 'createPod', role: 'pull', pod: pullPod(migration, sourcePod, excluded) }],
      requeueAfterMs: 1000,
    }
  }
  const unscheduled = snapshot.pullPod.status?.conditions?.find(
    (c) => c.type === 'PodScheduled' && c.status === 'False',
  )
  const waited = now.getTime() - Date.parse(snapshot.pullPod.metadata.creationTimestamp)
  if (unscheduled && waited > PLACEMENT_PATIENCE_MS) {
    const message = `the scheduler finds no node for pod ${sourcePod.metadata.name}: ${unscheduled.message ?? unscheduled.reason}`
    return refuse(snapshot, now, { reason: 'NoNodeFits', message })
  }
  return { requeueAfterMs: 1000 }
}
