/** Running containers below the CRI: the CRI cannot say that one is paused, nor resume it. */
import { isRuntimeNotFound, openService } from './grpc.ts'

/** containerd's namespace for everything that comes through the CRI. */
const KUBERNETES_NAMESPACE = 'k8s.io'
/** Of containerd.v1.types.Status. */
const PAUSED = 4

export interface ContainerdTasks {
  /**
   * Lets a paused container run again; nothing when it runs or is gone.
   *
   * @throws PodferryError, see grpc.ts
   */
  resume(containerID: string): Promise<void>
  close(): void
}

/** @param socketPath containerd's socket as this process sees it */
export function createContainerdTasks(socketPath: string): ContainerdTasks {
  const service = openService({
    socketPath,
    protoFile: 'containerd-tasks.proto',
    service: 'containerd.services.tasks.v1.Tasks',
    metadata: { 'containerd-namespace': KUBERNETES_NAMESPACE },
  })
  return {
    async resume(containerId) {
      try {
        const { process } = await service.call<{ process: { status: number } }>('Get', { containerId })
        if (process.status === PAUSED) await service.call('Resume', { containerId })
      } catch (error) {
        if (!isRuntimeNotFound(error)) throw error
      }
    },
    close: () => service.close(),
  }
}
