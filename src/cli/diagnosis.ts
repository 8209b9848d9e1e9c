/** What preflight says of a pod or a node, for people. Pure. */
import { type Finding, isBlocking } from '../api/finding.ts'
import { LIVE_LABEL } from '../api/names.ts'
import { factsOf, type NodeFacts } from '../api/node-facts.ts'
import { isNodeReady, type Node } from '../api/pod.ts'
import { clusterFindings, judgeNode, nodeFindings, podFindings } from '../controller/checks/preflight.ts'
import type { Snapshot } from '../controller/snapshot.ts'
import type { Survey } from './survey.ts'

export interface PodDiagnosis {
  namespace: string
  name: string
  /** Where it is. */
  node?: string
  /** Where it could go; with `--to` that node, without it the one with the fewest obstacles. */
  destination?: string
  /** Undefined: it can't move. */
  mode?: string
  /** Those that block first. */
  findings: Finding[]
}

/** @param to undefined: any node but the pod's own */
export function diagnosePod(snapshot: Snapshot, to: string | undefined): PodDiagnosis {
  const { migration, sourcePod, nodes } = snapshot
  const ofPod = podFindings(snapshot)
  const node = sourcePod?.spec.nodeName
  const names = to === undefined ? nodes.map(({ metadata }) => metadata.name).filter((name) => name !== node) : [to]
  // Nodes that can't be seen can't be judged; the controller does.
  const judged = sourcePod && nodes.length > 0 ? names.map((name) => ({ name, ...judgeNode(snapshot, name) })) : []
  const best = judged.sort((a, b) => rank(a) - rank(b))[0]
  const findings = [...ofPod, ...(best?.findings ?? [])]
  const unique = findings.filter((one, at) => findings.findIndex((other) => other.what === one.what) === at)
  const blocked = ofPod.some(isBlocking)
  return {
    namespace: migration.metadata.namespace ?? 'default',
    name: migration.spec.podName,
    ...(node === undefined ? {} : { node }),
    ...(best === undefined ? {} : { destination: best.name }),
    ...(best?.mode === undefined || blocked ? {} : { mode: best.mode }),
    findings: [...unique.filter(isBlocking), ...unique.filter((one) => !isBlocking(one))],
  }
}

const rank = ({ mode, findings }: { mode?: string; findings: readonly Finding[] }): number =>
  (mode === 'Live' ? 0 : mode === 'Image' ? 100 : 200) + findings.filter(isBlocking).length

export const isBlocked = ({ findings }: { findings: readonly Finding[] }): boolean => findings.some(isBlocking)

export interface NodeDiagnosis {
  name: string
  ready: boolean
  agent: boolean
  /** Whether pods can leave it and come to it by this mode. */
  live: boolean
  image: boolean
  facts?: NodeFacts
  findings: Finding[]
}

export function diagnoseNode(node: Node, survey: Survey, snapshot: Snapshot): NodeDiagnosis {
  const { name } = node.metadata
  const facts = factsOf(node)
  const agent = survey.agents.has(name)
  const ready = isNodeReady(node)
  return {
    ...{ name, ready, agent },
    live: ready && agent && node.metadata.labels?.[LIVE_LABEL] === 'true',
    image: ready && agent && survey.registries.has(name) && facts?.image.able !== false,
    ...(facts === undefined ? {} : { facts }),
    findings: nodeFindings(snapshot, node),
  }
}

export const diagnoseCluster = (snapshot: Snapshot): Finding[] => clusterFindings(snapshot)
