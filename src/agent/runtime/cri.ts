/** The Container Runtime Interface, as far as podferry asks it. */
import { z } from 'zod'
import { isRuntimeNotFound, openService } from './grpc.ts'

export interface RuntimeVersion {
  /** `containerd` or `cri-o`. */
  runtimeName: string
  runtimeVersion: string
}

export type ContainerState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN'

/** One attempt of one container. Times are nanoseconds since 1970 as decimal text, `0` when it has not happened. */
export interface CriContainer {
  id: string
  metadata: { name: string; attempt: number }
  state: ContainerState
  createdAt: string
  startedAt: string
  finishedAt: string
  exitCode: number
  reason: string
  message: string
  labels: Record<string, string>
  annotations: Record<string, string>
}

interface CriSandbox {
  id: string
  metadata: { name: string; uid: string; namespace: string; attempt: number }
  state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'
  labels: Record<string, string>
}

export interface CriImage {
  /** Digest of the image's config. */
  id: string
  repoTags: string[]
  repoDigests: string[]
  /** The user of the image's config: a number here, or a name below, or neither. */
  uid: { value: string } | null
  username: string
}

/** What containerd tells of an image when asked in detail, as far as it is read. */
const labelsSchema = z.object({
  imageSpec: z
    .object({ config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).optional() })
    .optional(),
})

/** Set by kubelet on every sandbox and container. */
export const POD_UID_LABEL = 'io.kubernetes.pod.uid'

/** Every method throws PodferryError, see grpc.ts. */
export interface CriClient {
  version(): Promise<RuntimeVersion>
  /** What the runtime tells of itself; `config` is its configuration as JSON. */
  statusInfo(): Promise<Record<string, string>>
  sandboxes(labels: Readonly<Record<string, string>>): Promise<CriSandbox[]>
  /** All containers with these labels with their whole status; one that goes meanwhile is left out. */
  containers(labels: Readonly<Record<string, string>>): Promise<CriContainer[]>
  /** @param reference a name, a digest reference or an image ID; undefined when the node lacks it */
  image(reference: string): Promise<CriImage | undefined>
  /** Labels of the image's config; empty when the node lacks it. Of containerd only. */
  imageLabels(reference: string): Promise<Record<string, string>>
  images(): Promise<CriImage[]>
  /** Removes the image under *all* its names; nothing when it is not there. */
  removeImage(reference: string): Promise<void>
  close(): void
}

/** @param socketPath the runtime's socket as this process sees it */
export function createCriClient(socketPath: string): CriClient {
  const runtime = openService({ socketPath, protoFile: 'cri.proto', service: 'runtime.v1.RuntimeService' })
  const images = openService({ socketPath, protoFile: 'cri.proto', service: 'runtime.v1.ImageService' })

  const containerStatus = async (id: string): Promise<CriContainer[]> => {
    try {
      const { status } = await runtime.call<{ status: CriContainer }>('ContainerStatus', { containerId: id })
      return [status]
    } catch (error) {
      if (isRuntimeNotFound(error)) return []
      throw error
    }
  }

  return {
    version: () => runtime.call<RuntimeVersion>('Version', {}),
    statusInfo: async () => (await runtime.call<{ info: Record<string, string> }>('Status', { verbose: true })).info,
    sandboxes: async (labelSelector) =>
      (await runtime.call<{ items: CriSandbox[] }>('ListPodSandbox', { filter: { labelSelector } })).items,
    async containers(labelSelector) {
      const request = { filter: { labelSelector } }
      const { containers } = await runtime.call<{ containers: { id: string }[] }>('ListContainers', request)
      return (await Promise.all(containers.map(({ id }) => containerStatus(id)))).flat()
    },
    image: async (reference) =>
      (await images.call<{ image: CriImage | null }>('ImageStatus', { image: { image: reference } })).image ??
      undefined,
    async imageLabels(reference) {
      const request = { image: { image: reference }, verbose: true }
      const { info } = await images.call<{ info: Record<string, string> }>('ImageStatus', request)
      return labelsSchema.parse(JSON.parse(info.info ?? '{}')).imageSpec?.config?.Labels ?? {}
    },
    images: async () => (await images.call<{ images: CriImage[] }>('ListImages', {})).images,
    async removeImage(reference) {
      // Removal of the last name waits for the garbage collector.
      await images.call('RemoveImage', { image: { image: reference } }, { timeoutMs: 60_000 })
    },
    close() {
      runtime.close()
      images.close()
    },
  }
}
