/** The one list of checks that decides Accepted. */
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Check, type Finding, firstFinding } from './check.ts'
import { anyModeMoves, type Choice, chooseMode } from './mode-checks.ts'
import { nodeChecks } from './node-checks.ts'
import { podChecks } from './pod-checks.ts'

const missingPod = ({ migration }: Snapshot): Finding => ({
  reason: 'PodNotFound',
  message: `spec.podName: there is no pod ${migration.spec.podName} in namespace ${migration.metadata.namespace}; see kubectl get pods -n ${migration.metadata.namespace}`,
})

/** The older of two Migrations of one pod goes on; equal age is settled by UID, so that exactly one of them gives way. */
const rival: Check = ({ snapshot: { migration, rivals } }) => {
  const age = (m: typeof migration) => `${m.metadata.creationTimestamp} ${m.metadata.uid}`
  const older = rivals.find((other) => other.status?.source !== undefined || age(other) < age(migration))
  return (
    older && {
      reason: 'AlreadyMigrating',
      message: `Migration ${older.metadata.name} moves pod ${migration.spec.podName} already: wait until it has finished, or cancel it (podferry cancel ${older.metadata.name})`,
    }
  )
}

const connections: Check = ({ snapshot: { migration } }) =>
  migration.spec.connections === 'Keep'
    ? {
        reason: 'KeepNotAvailable',
        message: 'spec.connections: this version can only close connections; use Auto or Close',
      }
    : undefined

/** What can be said before a destination is known. */
export function podFinding(snapshot: Snapshot): Finding | undefined {
  const { sourcePod: pod } = snapshot
  if (!pod) return missingPod(snapshot)
  const source = nodeNamed(snapshot, pod.spec.nodeName)
  return firstFinding([connections, rival, ...podChecks, anyModeMoves], {
    pod,
    source,
    destination: undefined,
    destinationName: '',
    snapshot,
  })
}

/** @returns the mode in which this pod can go to that node, or why it can't */
export function judgeNode(snapshot: Snapshot, destinationName: string): Choice {
  const { sourcePod: pod, migration } = snapshot
  if (!pod) return { refused: missingPod(snapshot) }
  const candidate = {
    pod,
    source: nodeNamed(snapshot, pod.spec.nodeName),
    destination: nodeNamed(snapshot, destinationName),
    destinationName,
    snapshot,
  }
  const refused = firstFinding(nodeChecks, candidate)
  return refused ? { refused } : chooseMode(candidate, migration.spec.mode)
}

/** @returns why this pod can't go to that node, or undefined when it can */
export function nodeFinding(snapshot: Snapshot, destinationName: string): Finding | undefined {
  const choice = judgeNode(snapshot, destinationName)
  return 'refused' in choice ? choice.refused : undefined
}
