/** The effects that the source side needs, so that tests run the same code on scratch folders and loopback servers. */
import type { EventRecorder } from '../../kube/events.ts'
import type { Fence } from '../fence/fence.ts'
import type { Journal } from '../journal.ts'
import type { Kubelet } from '../kubelet.ts'
import type { Preflight } from '../preflight/preflight.ts'
import type { SourceEntry } from './entry.ts'

/** One archive on its way to the agent of the destination node. */
interface Delivery {
  node: { name: string; address: string }
  namespace: string
  migrationName: string
  migrationUID: string
  container: string
  /** As this process sees it. */
  archivePath: string
  signal: AbortSignal
  onProgress: (bytes: number) => void
}

export interface SourceDependencies {
  journal: Journal<SourceEntry>
  fence: Fence
  kubelet: Kubelet
  /** The kubelet's --root-dir on the node. */
  kubeletRoot: string
  /** Puts the hook and CRIU's configuration in place, if they are not. */
  install(): Promise<void>
  /** Refuses what CRIU could not dump, while the pod still runs. */
  preflight: Preflight
  /** Resolves when no dump of the container runs on the node, whoever began it. */
  dumpEnded(containerID: string): Promise<void>
  /**
   * Lets a container run that the runtime has left paused. containerd pauses it for a dump and resumes it in the name of the same
   * request: when the agent is killed the request is cancelled, and with it the resumption (seen with 2.3.4).
   */
  resumeContainer(containerID: string): Promise<void>
  send(delivery: Delivery): Promise<{ manifestDigest: string; size: number }>
  /** Looks at the Migration again soon. */
  wake(migrationUID: string): void
  recorder: EventRecorder
}
