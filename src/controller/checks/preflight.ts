/** The one list of checks: it decides Accepted, and `podferry doctor` and `podferry migrate --dry-run` tell it in full. */
import { blocks, type Finding, isBlocking } from '../../api/finding.ts'
import type { Node, Pod } from '../../api/pod.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Candidate, type Check, findingsOf } from './check.ts'
import { clusterChecks } from './cluster-checks.ts'
import { containerChecks } from './container-checks.ts'
import { factChecks } from './fact-checks.ts'
import { anyModeMoves, type Choice, chooseMode, eitherMode } from './mode-checks.ts'
import { nodeChecks } from './node-checks.ts'
import { podChecks } from './pod-checks.ts'

const missingPod = ({ migration }: Snapshot): Finding =>
  blocks(
    'PodNotFound',
    `spec.podName: there is no pod ${migration.spec.podName} in namespace ${migration.metadata.namespace}`,
    'there is nothing to move',
    `see kubectl get pods -n ${migration.metadata.namespace}`,
  )

/** The older of two Migrations of one pod goes on; equal age is settled by UID, so that exactly one of them gives way. */
const rival: Check = ({ snapshot: { migration, rivals } }) => {
  const age = (m: typeof migration) => `${m.metadata.creationTimestamp} ${m.metadata.uid}`
  const older = rivals.find((other) => other.status?.source !== undefined || age(other) < age(migration))
  return (
    older &&
    blocks(
      'AlreadyMigrating',
      `Migration ${older.metadata.name} moves pod ${migration.spec.podName} already`,
      'one pod is moved once at a time',
      `wait until it has finished, or cancel it (podferry cancel ${older.metadata.name})`,
    )
  )
}

const connections: Check = ({ snapshot: { migration } }) =>
  migration.spec.connections === 'Keep'
    ? blocks(
        'KeepNotAvailable',
        'spec.connections is Keep',
        'this version can only close connections',
        'use Auto or Close',
      )
    : undefined

const ABOUT_THE_POD: readonly Check[] = [connections, ...clusterChecks, rival, ...podChecks, ...containerChecks]
const ABOUT_THE_NODES: readonly Check[] = [...nodeChecks, ...factChecks]

const candidateOf = (snapshot: Snapshot, pod: Candidate['pod'], destinationName: string): Candidate => ({
  pod,
  source: nodeNamed(snapshot, pod.spec.nodeName),
  destination: nodeNamed(snapshot, destinationName),
  destinationName,
  snapshot,
})

/** @returns all that can be said before a destination is known */
export function podFindings(snapshot: Snapshot): Finding[] {
  const { sourcePod: pod } = snapshot
  if (!pod) return [missingPod(snapshot)]
  return findingsOf([...ABOUT_THE_POD, anyModeMoves], candidateOf(snapshot, pod, ''))
}

/** @returns the mode in which this pod can go to that node, and all that can be said of the two nodes and that mode */
export function judgeNode(snapshot: Snapshot, destinationName: string): Choice {
  const { sourcePod: pod, migration } = snapshot
  if (!pod) return { findings: [missingPod(snapshot)] }
  const candidate = candidateOf(snapshot, pod, destinationName)
  // Of a node that is not there nothing else can be said.
  const findings = findingsOf(candidate.destination ? ABOUT_THE_NODES : nodeChecks.slice(0, 1), candidate)
  if (!candidate.destination) return { findings }
  const choice = chooseMode(candidate, migration.spec.mode)
  const all = [...findings, ...choice.findings]
  return findings.some(isBlocking) ? { findings: all } : { ...choice, findings: all }
}

/** Of any move: nothing about pods or nodes. */
export const clusterFindings = (snapshot: Snapshot): Finding[] =>
  findingsOf(clusterChecks, candidateOf(snapshot, ANY_POD, ''))

/** @returns what can be said of a node whatever is moved there: one finding of each kind */
export function nodeFindings(snapshot: Snapshot, { metadata: { name } }: Node): Finding[] {
  const pod: Pod = { ...ANY_POD, spec: { ...ANY_POD.spec, nodeName: name } }
  const findings = findingsOf([...ABOUT_THE_NODES, ...eitherMode], candidateOf(snapshot, pod, name))
  const codes = new Set(DEPENDING)
  return findings.filter(({ code }) => !codes.has(code) && codes.add(code))
}

/** A pod that asks for nothing. */
const ANY_POD: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: '', uid: '', resourceVersion: '', creationTimestamp: '' },
  spec: { containers: [] },
}
/** What depends on the pod after all. */
const DEPENDING = ['SameNode', 'NodeTainted']
