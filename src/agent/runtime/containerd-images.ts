/** containerd's own image names, below the CRI: a name points at a descriptor and can be moved in one step. */
import { isRuntimeAlreadyExists, isRuntimeNotFound, openService } from './grpc.ts'

interface Descriptor {
  mediaType: string
  digest: string
  /** Bytes, as decimal text. */
  size: string
  annotations: Record<string, string>
}

interface ContainerdImage {
  name: string
  labels: Record<string, string>
  target: Descriptor
}

/** containerd's namespace for everything that comes through the CRI. */
const KUBERNETES_NAMESPACE = 'k8s.io'
/** The CRI plugin keeps an image that carries it in its own list. */
const MANAGED = { 'io.cri-containerd.image': 'managed' }

/** Every method throws PodferryError, see grpc.ts. */
export interface ContainerdImages {
  get(name: string): Promise<ContainerdImage | undefined>
  /** Names that begin with `prefix`. */
  namesUnder(prefix: string): Promise<string[]>
  /** Lets `name` point at `target`, whether it existed or not: one step, no moment without the name. */
  point(name: string, target: Descriptor): Promise<void>
  /** Removes one name only; what it points at goes when no other name leads there. */
  remove(name: string): Promise<void>
  close(): void
}

/** @param socketPath containerd's socket as this process sees it */
export function createContainerdImages(socketPath: string): ContainerdImages {
  const service = openService({
    socketPath,
    protoFile: 'containerd-images.proto',
    service: 'containerd.services.images.v1.Images',
    metadata: { 'containerd-namespace': KUBERNETES_NAMESPACE },
  })
  return {
    async get(name) {
      try {
        return (await service.call<{ image: ContainerdImage }>('Get', { name })).image
      } catch (error) {
        if (isRuntimeNotFound(error)) return undefined
        throw error
      }
    },
    async namesUnder(prefix) {
      const filter = `name~=^${prefix.replace(/[^A-Za-z0-9]/g, (character) => `\\${character}`)}`
      const { images } = await service.call<{ images: ContainerdImage[] }>('List', { filters: [filter] })
      return images.map(({ name }) => name).filter((name) => name.startsWith(prefix))
    },
    async point(name, target) {
      const image = { name, labels: MANAGED, target }
      try {
        await service.call('Create', { image })
      } catch (error) {
        if (!isRuntimeAlreadyExists(error)) throw error
        await service.call('Update', { image })
      }
    },
    async remove(name) {
      try {
        await service.call('Delete', { name, sync: true }, { timeoutMs: 60_000 })
      } catch (error) {
        if (!isRuntimeNotFound(error)) throw error
      }
    },
    close: () => service.close(),
  }
}
