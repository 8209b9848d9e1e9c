/** What about the two nodes forbids a move, as the API server knows them. */
import { blocks } from '../../api/finding.ts'
import { LIVE_LABEL } from '../../api/names.ts'
import { isNodeReady, type Node, type PodSpec } from '../../api/pod.ts'
import type { Check } from './check.ts'

const FIELD = 'spec.destinationNode'
const ANOTHER = 'name another node'

const exists: Check = ({ destination, destinationName, snapshot }) =>
  destination
    ? undefined
    : blocks(
        'NodeNotFound',
        `${FIELD}: there is no node ${destinationName}`,
        `nodes are ${snapshot.nodes.map((node) => node.metadata.name).join(', ')}`,
        'name one of them',
      )

const different: Check = ({ pod, destinationName }) =>
  pod.spec.nodeName === destinationName
    ? blocks(
        'SameNode',
        `${FIELD}: pod ${pod.metadata.name} already runs on ${destinationName}`,
        'there is nothing to move',
        ANOTHER,
      )
    : undefined

const ready: Check = ({ source, destination, pod }) => {
  const silent = (what: string, why: string, remedy: string) => blocks('NodeNotReady', what, why, remedy)
  const gone = 'wait until it is (kubectl get nodes)'
  return [
    ...(isNodeReady(source)
      ? []
      : [silent(`source node ${pod.spec.nodeName} is not Ready`, "its kubelet can't make a checkpoint now", gone)]),
    ...(isNodeReady(destination) || !destination
      ? []
      : [silent(`${FIELD}: node ${destination.metadata.name} is not Ready`, 'it starts no pods now', ANOTHER)]),
  ]
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
    const remedy = `kubectl uncordon ${name}, or ${ANOTHER}`
    return blocks('NodeUnschedulable', `${FIELD}: node ${name} is cordoned`, 'it takes no new pods', remedy)
  }
  return destination?.spec?.taints
    ?.filter((taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(pod.spec, taint))
    .map((taint) =>
      blocks(
        'NodeTainted',
        `${FIELD}: node ${name} has taint ${taint.key}:${taint.effect}`,
        'the pod does not tolerate it',
        ANOTHER,
      ),
    )
}

const selected: Check = ({ destination, pod }) => {
  const labels = destination?.metadata.labels ?? {}
  // LIVE_LABEL was added by RuntimeClass podferry when the pod came by mode Live: mode-checks.ts judges it.
  const missing = Object.entries(pod.spec.nodeSelector ?? {}).find(
    ([key, value]) => key !== LIVE_LABEL && labels[key] !== value,
  )
  return destination && missing
    ? blocks(
        'NodeNotSelected',
        `${FIELD}: node ${destination.metadata.name} has no label ${missing.join('=')}`,
        "the pod's spec.nodeSelector wants it, and kubelet would refuse the pod",
        `label the node, or ${ANOTHER}`,
      )
    : undefined
}

const family = (node: Node | undefined) => node?.status?.nodeInfo?.containerRuntimeVersion.split('://')[0]

const alike: Check = ({ source, destination }) => {
  if (!destination) return undefined
  const [from, to] = [source?.status?.nodeInfo, destination.status?.nodeInfo]
  if (from?.architecture !== to?.architecture) {
    return blocks(
      'ArchitectureDiffers',
      `source is ${from?.architecture}, destination is ${to?.architecture}`,
      "memory of one can't run on the other",
      'name a node of the same architecture',
    )
  }
  return family(source) === family(destination)
    ? undefined
    : blocks(
        'RuntimeDiffers',
        `source runs ${from?.containerRuntimeVersion}, destination ${to?.containerRuntimeVersion}`,
        "a checkpoint of one runtime can't be restored by another",
        'name a node of the same container runtime',
      )
}

const agents: Check = ({ pod, destinationName, snapshot }) =>
  [pod.spec.nodeName ?? '', destinationName]
    .filter((node) => !snapshot.agents.has(node))
    .map((node) =>
      blocks(
        'NoAgent',
        `node ${node} has no Ready podferry agent`,
        'nobody there can dump, take or restore a pod',
        'see kubectl -n podferry-system get pods -l app.kubernetes.io/component=agent -o wide',
      ),
    )

export const nodeChecks: readonly Check[] = [exists, different, ready, schedulable, selected, alike, agents]
