/** What about the two nodes forbids a move. */
import { isNodeReady, type Node, type PodSpec } from '../../api/pod.ts'
import type { Check } from './check.ts'

const exists: Check = ({ destination, destinationName, snapshot }) =>
  destination
    ? undefined
    : {
        reason: 'NodeNotFound',
        message: `spec.destinationNode: there is no node ${destinationName}; nodes are ${snapshot.nodes.map((node) => node.metadata.name).join(', ')}`,
      }

const different: Check = ({ pod, destinationName }) =>
  pod.spec.nodeName === destinationName
    ? {
        reason: 'SameNode',
        message: `spec.destinationNode: pod ${pod.metadata.name} already runs on ${destinationName}; name another node`,
      }
    : undefined

const ready: Check = ({ source, destination, pod }) => {
  if (!isNodeReady(source)) {
    return {
      reason: 'NodeNotReady',
      message: `source node ${pod.spec.nodeName} is not Ready: its kubelet can't make a checkpoint now`,
    }
  }
  return isNodeReady(destination)
    ? undefined
    : {
        reason: 'NodeNotReady',
        message: `spec.destinationNode: node ${destination?.metadata.name} is not Ready; name another node`,
      }
}

const tolerates = (spec: PodSpec, taint: { key: string; value?: string; effect: string }) =>
  spec.tolerations?.some(
    (toleration) =>
      (!toleration.effect || toleration.effect === taint.effect) &&
      (toleration.operator === 'Exists'
        ? !toleration.key || toleration.key === taint.key
        : toleration.key === taint.key && (toleration.value ?? '') === (taint.value ?? '')),
  ) ?? false

/** The pod is bound to its node without the scheduler, so the scheduler's refusals are repeated here. */
const schedulable: Check = ({ destination, pod }) => {
  const name = destination?.metadata.name
  if (destination?.spec?.unschedulable) {
    return {
      reason: 'NodeUnschedulable',
      message: `spec.destinationNode: node ${name} is cordoned; kubectl uncordon ${name}, or name another node`,
    }
  }
  const repelling = destination?.spec?.taints?.find(
    (taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(pod.spec, taint),
  )
  return (
    repelling && {
      reason: 'NodeTainted',
      message: `spec.destinationNode: node ${name} has taint ${repelling.key}:${repelling.effect}, which the pod does not tolerate; name another node`,
    }
  )
}

const family = (node: Node | undefined) => node?.status?.nodeInfo?.containerRuntimeVersion.split('://')[0]

const alike: Check = ({ source, destination }) => {
  const [from, to] = [source?.status?.nodeInfo, destination?.status?.nodeInfo]
  if (from?.architecture !== to?.architecture) {
    return {
      reason: 'ArchitectureDiffers',
      message: `source is ${from?.architecture}, destination is ${to?.architecture}: memory of one can't run on the other; name a node of the same architecture`,
    }
  }
  return family(source) === family(destination)
    ? undefined
    : {
        reason: 'RuntimeDiffers',
        message: `source runs ${from?.containerRuntimeVersion}, destination ${to?.containerRuntimeVersion}: a checkpoint of one runtime can't be restored by another`,
      }
}

const agents: Check = ({ pod, destinationName, snapshot }) => {
  for (const node of [pod.spec.nodeName ?? '', destinationName]) {
    if (!snapshot.agents.has(node)) {
      return {
        reason: 'NoAgent',
        message: `node ${node} has no Ready podferry agent: see kubectl -n podferry-system get pods -l app.kubernetes.io/component=agent -o wide`,
      }
    }
  }
  return undefined
}

export const nodeChecks: readonly Check[] = [exists, different, ready, schedulable, alike, agents]
