/** The pods that the controller makes: pure functions from the source pod. */
import { z } from 'zod'
import type { Migration, MigrationContainer } from '../api/migration.ts'
import {
  AWAIT_ANNOTATION,
  LIVE_LABEL,
  MIGRATION_NAME_ANNOTATION,
  MIGRATION_UID_LABEL,
  ORIGIN_NAME_ANNOTATION,
  ORIGINAL_IMAGES_ANNOTATION,
  RUNTIME_CLASS,
} from '../api/names.ts'
import { type Container, isSidecar, lastingContainers, lastingStatuses, type Pod, type PodSpec } from '../api/pod.ts'
import { isRecreated } from '../api/recreated.ts'
import { checkpointImageReference } from '../oci/repository.ts'
import { isStatefulPod } from './owner.ts'

/** Longest name that is still a valid hostname (RFC 1123 label). */
const MAX_LABEL = 63

/** What the API server will accept as a new pod: no status, no server-set metadata. */
export interface NewPod {
  apiVersion: 'v1'
  kind: 'Pod'
  metadata: { name: string; namespace: string; labels: Record<string, string>; annotations: Record<string, string> }
  spec: PodSpec
}

/** The name that the first pod of a chain of moves had. */
const originName = (pod: Pod): string => pod.metadata.annotations?.[ORIGIN_NAME_ANNOTATION] ?? pod.metadata.name

const suffixed = (name: string, suffix: string) =>
  `${name.slice(0, MAX_LABEL - suffix.length - 1).replace(/[-.]+$/, '')}-${suffix}`

/** Deterministic, so that a controller that lost its memory finds the pod it made. */
export const destinationPodName = (migration: Migration, source: Pod): string =>
  isRecreated(migration.status) || isStatefulPod(source)
    ? source.metadata.name
    : suffixed(originName(source), migration.metadata.uid.slice(0, 5))

export const pullPodName = (migration: Migration): string => `podferry-pull-${migration.metadata.uid}`

/** The images that people once wrote, through any number of moves. */
function originalImages(pod: Pod): Record<string, string> {
  const images = Object.fromEntries(lastingContainers(pod).map((container) => [container.name, container.image]))
  return { ...images, ...recordedImages(pod.metadata.annotations?.[ORIGINAL_IMAGES_ANNOTATION]) }
}

const imagesSchema = z.record(z.string(), z.string())

/** The annotation can be edited by anybody who may edit the pod: what does not parse is as good as absent. */
function recordedImages(annotation: string | undefined): Record<string, string> {
  if (annotation === undefined) return {}
  try {
    return imagesSchema.parse(JSON.parse(annotation))
  } catch {
    return {}
  }
}

/** @returns the source's containers as they enter status.containers */
export function containersOf(pod: Pod): MigrationContainer[] {
  const images = originalImages(pod)
  const statuses = lastingStatuses(pod)
  return lastingContainers(pod).map(({ name, image }) => ({
    name,
    image: images[name] ?? image,
    imageID: statuses.find((status) => status.name === name)?.imageID ?? '',
  }))
}

/** The destination pod of mode Image: each container's image replaced by its checkpoint. */
export function destinationPod(migration: Migration, source: Pod): NewPod {
  const namespace = migration.metadata.namespace ?? 'default'
  const image = (container: string) =>
    checkpointImageReference({ namespace, migrationUID: migration.metadata.uid, container })
  const pod = arrivingPod(migration, source, image)
  // What an earlier move in mode Live has left would make the runtime wait for a state that does not come.
  delete pod.metadata.annotations[AWAIT_ANNOTATION]
  if (pod.spec.runtimeClassName === RUNTIME_CLASS) delete pod.spec.runtimeClassName
  if (pod.spec.nodeSelector) pod.spec.nodeSelector = ownSelector(pod.spec.nodeSelector)
  return pod
}

/** Without what RuntimeClass podferry has added when the pod came by mode Live: it would bind the pod to nodes of that mode. */
function ownSelector({ [LIVE_LABEL]: _added, ...selector }: Record<string, string>): Record<string, string> {
  return selector
}

/** The source as people once made it, on whatever node there is room: nothing of this move is in it, nor of an earlier one. */
export function freshPod(migration: Migration, source: Pod): NewPod {
  const images = originalImages(source)
  const { nodeName, ephemeralContainers, runtimeClassName, nodeSelector, initContainers, ...spec } = source.spec
  const fresh = (container: Container): Container => ({
    ...container,
    image: images[container.name] ?? container.image,
  })
  const { [MIGRATION_UID_LABEL]: _move, ...labels } = source.metadata.labels ?? {}
  const { [AWAIT_ANNOTATION]: _await, ...annotations } = source.metadata.annotations ?? {}
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: source.metadata.name,
      namespace: migration.metadata.namespace ?? 'default',
      labels,
      annotations: { ...annotations, [MIGRATION_NAME_ANNOTATION]: migration.metadata.name },
    },
    spec: {
      ...spec,
      ...(runtimeClassName === undefined || runtimeClassName === RUNTIME_CLASS ? {} : { runtimeClassName }),
      ...(nodeSelector ? { nodeSelector: ownSelector(nodeSelector) } : {}),
      containers: spec.containers.map(fresh),
      ...(initContainers ? { initContainers: initContainers.map(fresh) } : {}),
    },
  }
}

/** @returns whether this is what `freshPod` made */
export const isFreshPod = ({ metadata: own }: Migration, { metadata }: Pod): boolean =>
  metadata.labels?.[MIGRATION_UID_LABEL] === undefined && metadata.annotations?.[MIGRATION_NAME_ANNOTATION] === own.name

/** The destination pod of mode Live: the source's own images by digest, under the runtime that waits for the state of this pod. */
export function waitingPod(migration: Migration, source: Pod): NewPod {
  const images = new Map(migration.status?.containers?.map(({ name, imageID }) => [name, imageID]))
  const pod = arrivingPod(migration, source, (container) => images.get(container) ?? '')
  pod.metadata.annotations[AWAIT_ANNOTATION] = migration.metadata.uid
  pod.spec.runtimeClassName = RUNTIME_CLASS
  return pod
}

/** @returns whether this is, as far as it can be seen, the pod that `waitingPod` made: a label alone can be on any pod */
export const isWaitingPod = (migration: Migration, { metadata, spec }: Pod): boolean =>
  metadata.labels?.[MIGRATION_UID_LABEL] === migration.metadata.uid &&
  metadata.annotations?.[AWAIT_ANNOTATION] === migration.metadata.uid &&
  spec.runtimeClassName === RUNTIME_CLASS &&
  spec.nodeName === migration.status?.destination?.node

/**
 * The source's spec, pinned to the node, with other images.
 *
 * Volumes and mounts stay as they are, the projected token volume of admission too: a restore needs exactly the source's mounts,
 * and admission adds a token volume only where none is mounted. Init containers have done their work.
 */
function arrivingPod(migration: Migration, source: Pod, imageOf: (container: string) => string): NewPod {
  const node = migration.status?.destination?.node
  if (!node) throw new Error('a destination pod needs status.destination.node')
  const { ephemeralContainers, initContainers, ...spec } = source.spec
  const sidecars = initContainers?.filter(isSidecar) ?? []
  const arriving = (container: Container): Container => ({
    ...container,
    image: imageOf(container.name),
    imagePullPolicy: 'IfNotPresent',
  })
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: destinationPodName(migration, source),
      namespace: migration.metadata.namespace ?? 'default',
      labels: { ...source.metadata.labels, [MIGRATION_UID_LABEL]: migration.metadata.uid },
      annotations: {
        ...source.metadata.annotations,
        [MIGRATION_NAME_ANNOTATION]: migration.metadata.name,
        [ORIGIN_NAME_ANNOTATION]: originName(source),
        [ORIGINAL_IMAGES_ANNOTATION]: JSON.stringify(originalImages(source)),
      },
    },
    spec: {
      ...spec,
      nodeName: node,
      // CRIU writes the dumped host name into the sandbox; the spec says the same, so that /etc/hosts agrees with it.
      hostname: source.spec.hostname ?? hostnameOf(source),
      containers: spec.containers.map(arriving),
      ...(sidecars.length > 0 ? { initContainers: sidecars.map(arriving) } : {}),
    },
  }
}

/** Kubelet's rule: the pod's name, cut to 63 characters, without trailing dots and dashes. */
const hostnameOf = (pod: Pod): string =>
  pod.metadata.name
    .slice(0, MAX_LABEL)
    .replace(/[-.]+$/, '')
    .replaceAll('.', '-')

/** A command that exists in no image: the container fails to start, but only after kubelet has pulled the image. */
const PULL_ONLY = ['/podferry-pull-only']

/**
 * A pod whose only use is that kubelet pulls the base images with the pod's own pull secrets and the node's credential
 * plugins, which an agent could do only with rights to read every secret. Without a destination node it also lets the
 * scheduler pick one by the source's own constraints and requests.
 *
 * In mode Live it comes beside the destination pod, which has taken its room already.
 *
 * @param excludedNodes names of nodes that can't be the destination
 */
export function pullPod(migration: Migration, source: Pod, excludedNodes: string[]): NewPod {
  const { imagePullSecrets, tolerations, nodeSelector, serviceAccountName } = source.spec
  const { node, podUID } = migration.status?.destination ?? {}
  const images = new Map(containersOf(source).map(({ name, imageID }) => [name, imageID]))
  const elsewhere = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchFields: excludedNodes.map((name) => ({ key: 'metadata.name', operator: 'NotIn', values: [name] })) },
        ],
      },
    },
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pullPodName(migration),
      namespace: migration.metadata.namespace ?? 'default',
      labels: { 'app.kubernetes.io/managed-by': 'podferry' },
      annotations: { [MIGRATION_NAME_ANNOTATION]: migration.metadata.name },
    },
    spec: {
      ...(node ? { nodeName: node } : { affinity: elsewhere }),
      ...(imagePullSecrets ? { imagePullSecrets } : {}),
      ...(tolerations ? { tolerations } : {}),
      ...(nodeSelector ? { nodeSelector: ownSelector(nodeSelector) } : {}),
      ...(serviceAccountName ? { serviceAccountName } : {}),
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      containers: lastingContainers(source).map(({ name, resources }) => ({
        name,
        image: images.get(name) ?? '',
        imagePullPolicy: 'IfNotPresent',
        command: PULL_ONLY,
        ...(resources && podUID === undefined ? { resources } : {}),
      })),
    },
  }
}
