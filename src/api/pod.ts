/**
 * The parts of core/v1 that podferry reads. Objects stay raw JSON: members not named here are kept
 * by every copy (typed clients drop what they do not know, and a pod must be moved whole).
 */
import type { KubeObject } from '../kube/resource.ts'
import type { Metadata } from './migration.ts'

export interface Container {
  name: string
  image: string
  imagePullPolicy?: string
  command?: string[]
  args?: string[]
  restartPolicy?: string
  tty?: boolean
  stdin?: boolean
  resources?: { requests?: Record<string, string>; limits?: Record<string, string>; claims?: { name: string }[] }
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean; mountPropagation?: string }[]
  volumeDevices?: { name: string; devicePath: string }[]
  livenessProbe?: Probe
  startupProbe?: Probe
  lifecycle?: { postStart?: object }
  securityContext?: { privileged?: boolean; seccompProfile?: SeccompProfile }
}

export interface Probe {
  /** The API server fills in the defaults. */
  periodSeconds?: number
  timeoutSeconds?: number
  failureThreshold?: number
}

interface SeccompProfile {
  type: string
}

export interface Volume {
  name: string
  emptyDir?: object
  hostPath?: { path: string; type?: string }
  configMap?: object
  secret?: object
  projected?: object
  downwardAPI?: object
  persistentVolumeClaim?: { claimName: string }
}

interface Toleration {
  key?: string
  operator?: string
  value?: string
  effect?: string
}

export interface PodSpec {
  nodeName?: string
  hostname?: string
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  shareProcessNamespace?: boolean
  restartPolicy?: string
  automountServiceAccountToken?: boolean
  terminationGracePeriodSeconds?: number
  runtimeClassName?: string
  imagePullSecrets?: { name: string }[]
  containers: Container[]
  initContainers?: Container[]
  ephemeralContainers?: { name: string }[]
  volumes?: Volume[]
  tolerations?: Toleration[]
  affinity?: object
  nodeSelector?: Record<string, string>
  serviceAccountName?: string
  securityContext?: { seccompProfile?: SeccompProfile }
}

interface ContainerState {
  waiting?: { reason?: string; message?: string }
  running?: { startedAt?: string }
  terminated?: { exitCode: number; reason?: string; message?: string }
}

interface ContainerStatus {
  name: string
  image: string
  imageID: string
  containerID?: string
  restartCount: number
  ready: boolean
  state?: ContainerState
}

export interface Pod extends KubeObject {
  metadata: Metadata
  spec: PodSpec
  status?: {
    phase?: string
    reason?: string
    message?: string
    podIP?: string
    hostIP?: string
    conditions?: { type: string; status: string; reason?: string; message?: string }[]
    containerStatuses?: ContainerStatus[]
    initContainerStatuses?: ContainerStatus[]
    ephemeralContainerStatuses?: ContainerStatus[]
  }
}

/** An init container that runs beside the others as long as the pod does. */
export const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always'

/** @returns those that run as long as the pod does, in the order in which kubelet starts them; not the init containers that end */
export const lastingContainers = ({ spec }: Pick<Pod, 'spec'>): Container[] => [
  ...(spec.initContainers?.filter(isSidecar) ?? []),
  ...spec.containers,
]

/** @returns of the same */
export function lastingStatuses(pod: Pod): ContainerStatus[] {
  const sidecars = new Set(pod.spec.initContainers?.filter(isSidecar).map(({ name }) => name))
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {}
  return [...initContainerStatuses.filter(({ name }) => sidecars.has(name)), ...containerStatuses]
}

export interface Node extends KubeObject {
  metadata: Metadata
  spec?: { unschedulable?: boolean; taints?: { key: string; value?: string; effect: string }[] }
  status?: {
    conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[]
    addresses?: { type: string; address: string }[]
    nodeInfo?: { architecture: string; containerRuntimeVersion: string; kernelVersion: string; operatingSystem: string }
  }
}

export interface PersistentVolumeClaim extends KubeObject {
  spec: { volumeName?: string; accessModes?: string[]; storageClassName?: string }
}

export interface NodeSelectorTerm {
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
  matchFields?: { key: string; operator: string; values?: string[] }[]
}

interface VolumeNodeAffinity {
  required?: { nodeSelectorTerms: NodeSelectorTerm[] }
}

/** As far as it matters whether another node can have the volume too. */
export interface PersistentVolume extends KubeObject {
  spec: { local?: { path: string }; hostPath?: { path: string }; nodeAffinity?: VolumeNodeAffinity }
}

/** apps/v1 */
export interface ReplicaSet extends KubeObject {
  metadata: Metadata
  spec: { replicas?: number; selector: { matchLabels?: Record<string, string> } }
  status?: { replicas: number; observedGeneration?: number }
}

/** apps/v1 */
export interface StatefulSet extends ReplicaSet {
  spec: ReplicaSet['spec'] & { ordinals?: { start?: number } }
}

/** batch/v1 */
export interface Job extends KubeObject {
  metadata: Metadata
  spec: { completions?: number; managedBy?: string; selector: { matchLabels?: Record<string, string> } }
  status?: { conditions?: { type: string; status: string }[] }
}

const conditionTrue = (
  object: { status?: { conditions?: { type: string; status: string }[] } } | undefined,
  type: string,
) => object?.status?.conditions?.some((c) => c.type === type && c.status === 'True') ?? false

export const isPodReady = (pod: Pod | undefined): boolean => conditionTrue(pod, 'Ready')
export const isNodeReady = (node: Node | undefined): boolean => conditionTrue(node, 'Ready')

/** @returns whether it makes no pods any more, and has ended those it had */
export const isJobFinished = (job: Job): boolean => conditionTrue(job, 'Complete') || conditionTrue(job, 'Failed')
