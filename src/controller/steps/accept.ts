/** Step 1: preflight. Ends in Accepted, with everything fixed that later steps rely on. */
import { truth } from '../../api/conditions.ts'
import { type Finding, type Refusal, refusalIn } from '../../api/finding.ts'
import { WRAPPED } from '../checks/mode-checks.ts'
import { judgeNode, podFindings } from '../checks/preflight.ts'
import { mustGoFirst, ownerOf } from '../owner.ts'
import { containersOf, destinationPodName, pullPod } from '../pods.ts'
import type { Snapshot } from '../snapshot.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'

/** How long the scheduler may take to find a node before the pod counts as unplaceable. */
const PLACEMENT_PATIENCE_MS = 20_000

/** What an update or a restart of podferry itself brings about for some seconds. */
const PASSING = ['NoAgent', 'NoRegistry', 'WebhookUnreachable']
const PASSING_MS = 10_000

const mayPass = ({ reason }: Refusal, { metadata }: Snapshot['migration'], now: Date): boolean =>
  PASSING.includes(reason) && now.getTime() - Date.parse(metadata.creationTimestamp) < PASSING_MS

const refuse = (snapshot: Snapshot, now: Date, refusal: Refusal): Plan =>
  write(snapshot, now, [{ type: 'Accepted', status: 'False', ...refusal }], { failure: failureOf(refusal) })

export const accept: Step = (snapshot, now) => {
  const { migration, sourcePod } = snapshot
  if (truth(migration.status, 'Accepted') !== 'Unknown') return undefined
  if (migration.metadata.deletionTimestamp) {
    return refuse(snapshot, now, { reason: 'Cancelled', message: 'the Migration was deleted before it was accepted' })
  }
  const ofPod = podFindings(snapshot)
  const refusal = refusalIn(ofPod)
  if (refusal || !sourcePod)
    return refuse(snapshot, now, refusal ?? { reason: 'PodNotFound', message: 'the pod is gone' })

  const destination = migration.spec.destinationNode ?? snapshot.pullPod?.spec.nodeName
  if (!destination) return place(snapshot, now)
  const { mode, because, findings } = judgeNode(snapshot, destination)
  const blocked = refusalIn(findings)
  if (blocked || !mode) {
    if (blocked && !mayPass(blocked, migration, now)) return refuse(snapshot, now, blocked)
    return { requeueAfterMs: 1000 }
  }

  const node = sourcePod.spec.nodeName ?? ''
  const owner = ownerOf(sourcePod)
  const why = because === undefined ? '' : `; not Live: ${because}`
  const isRecreated = mode === 'Image' && mustGoFirst(sourcePod)
  const free = owner ? `its ${owner.kind} has made it anew` : 'its volumes are free'
  const standstill = isRecreated
    ? `; it stands still until all of its memory is there, the source is gone and ${free}: seconds to minutes`
    : ''
  const isWrapped = mode === 'Image' && findings.some(({ code }) => code === WRAPPED)
  const restorer = isWrapped ? "; restored by podferry's own OCI runtime, as the container runtime there does not" : ''
  const message = `pod ${sourcePod.metadata.name} can move from ${node} to ${destination} in mode ${mode}${why}${restorer}${standstill}${warningsIn([...ofPod, ...findings])}`
  return write(snapshot, now, [{ type: 'Accepted', status: 'True', reason: 'PreflightPassed', message }, pending], {
    mode,
    source: {
      node,
      podUID: sourcePod.metadata.uid,
      ...(owner ? { owner } : {}),
      ...(isRecreated ? { recreated: true } : {}),
    },
    // The name is written down before there is such a pod: a rollback must find it even when the source pod is gone.
    destination: {
      node: destination,
      podName: isRecreated ? sourcePod.metadata.name : destinationPodName(migration, sourcePod),
      ...(isWrapped ? { restorer: 'Wrapper' as const } : {}),
    },
    containers: containersOf(sourcePod),
    timings: { acceptedAt: now.toISOString() },
  })
}

/** What warns is named only: `podferry doctor` explains it. Why not Live, and who restores, is told in full already. */
function warningsIn(findings: readonly Finding[]): string {
  const codes = findings.filter(
    ({ code, severity }) => severity === 'warns' && ![WRAPPED, 'LiveNotPossible'].includes(code),
  )
  const named = [...new Set(codes.map(({ code }) => code))]
  return named.length === 0 ? '' : `; warnings: ${named.join(', ')} (podferry doctor explains them)`
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
    const judged = nodes.map(({ metadata: { name } }) => [name, refusalIn(judgeNode(snapshot, name).findings)] as const)
    const excluded = judged.flatMap(([name, refusal]) => (refusal ? [name] : []))
    if (excluded.length === nodes.length) {
      const reasons = judged.map(([name, refusal]) => `${name}: ${refusal?.reason}`)
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
