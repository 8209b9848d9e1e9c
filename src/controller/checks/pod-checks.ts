/** What about the pod itself forbids a move. */
import type { Check } from './check.ts'

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

const running: Check = ({ pod }) => {
  const name = `pod ${pod.metadata.name}`
  if (pod.metadata.deletionTimestamp) {
    return { reason: 'PodTerminating', message: `${name} is being deleted: there is nothing left to move` }
  }
  if (pod.status?.phase !== 'Running') {
    return {
      reason: 'PodNotRunning',
      message: `${name} is ${pod.status?.phase ?? 'Unknown'}, not Running: wait until all its containers run (kubectl wait --for=condition=Ready pod/${pod.metadata.name})`,
    }
  }
  const stopped = pod.status.containerStatuses?.find((status) => !status.state?.running)
  return (
    stopped && {
      reason: 'PodNotRunning',
      message: `container ${stopped.name} of ${name} does not run: wait until it does`,
    }
  )
}

const hostNamespaces: Check = ({ pod }) => {
  const field = (['hostNetwork', 'hostPID', 'hostIPC'] as const).find((candidate) => pod.spec[candidate])
  if (field) {
    return {
      reason: 'HostNamespaces',
      message: `spec.${field} is true: a process that lives in the node's own namespaces can't leave the node. Remove ${field} from the pod to make it movable`,
    }
  }
  return pod.spec.shareProcessNamespace
    ? {
        reason: 'SharedProcessNamespace',
        message:
          'spec.shareProcessNamespace is true: CRIU dumps one container at a time. Remove it from the pod to make it movable',
      }
    : undefined
}

const staticPod: Check = ({ pod }) =>
  pod.metadata.annotations?.[MIRROR_ANNOTATION] === undefined
    ? undefined
    : {
        reason: 'StaticPod',
        message: `pod ${pod.metadata.name} is the mirror of a static pod: it belongs to its node. Move its manifest file to another node instead`,
      }

const owner: Check = ({ pod }) => {
  const controller = pod.metadata.ownerReferences?.find((reference) => reference.controller)
  if (!controller) return undefined
  if (controller.kind === 'DaemonSet') {
    return {
      reason: 'DaemonSetPod',
      message: `pod ${pod.metadata.name} belongs to DaemonSet ${controller.name}: every node has its own, there is nowhere to move it`,
    }
  }
  return {
    reason: 'OwnerNotSupported',
    message: `pod ${pod.metadata.name} is owned by ${controller.kind} ${controller.name}, which would replace it when it leaves: this version moves bare pods only`,
  }
}

const containers: Check = ({ pod }) => {
  if (pod.spec.containers.length > 1) {
    return {
      reason: 'SeveralContainers',
      message: `pod ${pod.metadata.name} has ${pod.spec.containers.length} containers: this version moves pods of one container`,
    }
  }
  const sidecar = pod.spec.initContainers?.find((container) => container.restartPolicy === 'Always')
  if (sidecar) {
    return {
      reason: 'SeveralContainers',
      message: `init container ${sidecar.name} is a sidecar: this version moves pods of one container`,
    }
  }
  const unpinned = pod.status?.containerStatuses?.find((status) => !status.imageID.includes('@sha256:'))
  return (
    unpinned && {
      reason: 'ImageWithoutDigest',
      message: `container ${unpinned.name} runs image ${unpinned.image}, whose registry digest is unknown (imageID ${unpinned.imageID || 'empty'}): the destination could not pull the same. Push the image to a registry and recreate the pod from there`,
    }
  )
}

export const podChecks: readonly Check[] = [running, staticPod, owner, hostNamespaces, containers]
