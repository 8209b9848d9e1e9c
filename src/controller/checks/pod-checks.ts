/** What about the pod as a whole forbids a move. */
import { blocks } from '../../api/finding.ts'
import { isSidecar, lastingContainers, lastingStatuses } from '../../api/pod.ts'
import type { Check } from './check.ts'
import { ownerChecks } from './owner-checks.ts'

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

const running: Check = ({ pod }) => {
  const name = `pod ${pod.metadata.name}`
  if (pod.metadata.deletionTimestamp)
    return blocks('PodTerminating', `${name} is being deleted`, 'there is nothing left to move', 'move its successor')
  const wait = `wait until all its containers run (kubectl wait --for=condition=Ready pod/${pod.metadata.name})`
  const why = 'only a running program has a state to move'
  const phase = pod.status?.phase ?? 'Unknown'
  if (phase !== 'Running') return blocks('PodNotRunning', `${name} is ${phase}, not Running`, why, wait)
  const stopped = lastingStatuses(pod).find((status) => !status.state?.running)
  return stopped && blocks('PodNotRunning', `container ${stopped.name} of ${name} does not run`, why, wait)
}

const hostNamespaces: Check = ({ pod }) => {
  const fields = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => pod.spec[field])
  const own = fields.map((field) =>
    blocks(
      'HostNamespaces',
      `spec.${field} is true`,
      "a process that lives in the node's own namespaces can't leave the node",
      `Remove ${field} from the pod to make it movable`,
    ),
  )
  if (!pod.spec.shareProcessNamespace) return own
  const shared = blocks(
    'SharedProcessNamespace',
    'spec.shareProcessNamespace is true',
    'CRIU dumps one container at a time, and process numbers of several would have to be kept free',
    'Remove it from the pod to make it movable',
  )
  return [...own, shared]
}

const staticPod: Check = ({ pod }) =>
  pod.metadata.annotations?.[MIRROR_ANNOTATION] === undefined
    ? undefined
    : blocks(
        'StaticPod',
        `pod ${pod.metadata.name} is the mirror of a static pod`,
        'it belongs to its node',
        'move its manifest file to another node instead',
      )

const containers: Check = ({ pod }) => {
  // Each but the last stands still until the last one runs, and kubelet makes the next when hook and startup probe are done.
  const probed = pod.spec.initContainers?.find((container) => isSidecar(container) && container.startupProbe)
  if (probed) {
    return blocks(
      'SeveralContainers',
      `sidecar ${probed.name} has a startupProbe`,
      'kubelet would wait for its success, and the sidecar stands still until the containers after it run',
      'do without the probe',
    )
  }
  const hooked = lastingContainers(pod)
    .slice(0, -1)
    .find(({ lifecycle }) => lifecycle?.postStart !== undefined)
  return (
    hooked &&
    blocks(
      'SeveralContainers',
      `container ${hooked.name} has a postStart hook and is not the last of the pod's containers`,
      'kubelet would run it while the container stands still, and wait for it',
      'put the container last, or do without the hook',
    )
  )
}

const imageDigest: Check = ({ pod }) =>
  lastingStatuses(pod)
    .filter(({ imageID }) => !imageID.includes('@sha256:'))
    .map(({ name, image, imageID }) =>
      blocks(
        'ImageWithoutDigest',
        `container ${name} runs image ${image}, whose registry digest is unknown (imageID ${imageID || 'empty'})`,
        'the destination could not pull the same',
        'push the image to a registry and recreate the pod from there',
      ),
    )

/** Those that have ended stay in the spec for ever and do no harm. */
const ephemeralContainers: Check = ({ pod }) =>
  pod.status?.ephemeralContainerStatuses
    ?.filter(({ state }) => state?.running)
    .map(({ name }) =>
      blocks(
        'EphemeralContainer',
        `ephemeral container ${name} (kubectl debug) runs in pod ${pod.metadata.name}`,
        'a new pod can have none, so it could not be made again at the destination',
        'end it, which is done by leaving its shell',
      ),
    )

export const podChecks: readonly Check[] = [
  running,
  staticPod,
  ...ownerChecks,
  hostNamespaces,
  containers,
  imageDigest,
  ephemeralContainers,
]
