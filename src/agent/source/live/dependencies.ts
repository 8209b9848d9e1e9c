/** The effects that the source side of mode Live needs, so that tests run the same code in a world of fakes. */
import type { Readable } from 'node:stream'
import type { EventRecorder } from '../../../kube/events.ts'
import type { Fence } from '../../fence/fence.ts'
import type { NodeCommands } from '../../install/node-commands.ts'
import type { Jobs } from '../../jobs/jobs.ts'
import type { Journal } from '../../journal.ts'
import type { SourceRoot } from '../../live/files/roots.ts'
import type { Keepers } from '../../pages/keepers.ts'
import type { LivePeer } from '../../peer/live-client.ts'
import type { Preflight } from '../../preflight/preflight.ts'
import type { Sleep } from '../tasks.ts'
import type { LiveEntry } from './entry.ts'
import type { Places } from './places.ts'
import type { Storage } from './storage.ts'

/** A tar stream and the end of whatever makes it. */
interface Packed {
  body: Readable
  done: Promise<void>
}

interface PeerOptions {
  node: { name: string; address: string }
  namespace: string
  migrationName: string
  migrationUID: string
  signal: AbortSignal
}

export interface LiveSourceDependencies {
  journal: Journal<LiveEntry>
  fence: Fence
  jobs: Jobs
  keepers: Keepers
  /** Takes away the mark that the pod has itself arrived on this node once, see destination/live/marks.ts. */
  unmark(podUID: string): Promise<void>
  places: Places
  files: {
    sourceRoots(
      hostRoot: string,
      kubeletRoot: string,
      pod: { uid: string; containers: { name: string; pid: number }[] },
    ): Promise<SourceRoot[]>
    /** Whether the destination would miss it: asked once the pod stands still. */
    isNeeded(root: SourceRoot): Promise<boolean>
    packFiles(options: { root: SourceRoot; snapshots: string; level: 0 | 1 }): Packed
    packImages(folder: string): Packed
  }
  storage: Storage
  openPeer(options: PeerOptions): LivePeer
  /** @throws PodferryError `IdentityPending` while this agent has no certificate, as right after its start */
  checkIdentity(): void
  node: NodeCommands
  /** Refuses what CRIU could not dump, while the pod still runs. */
  preflight: Preflight
  /** The kubelet's --root-dir on the node. */
  kubeletRoot: string
  /** Of this node: where the other agent's keepers connect. */
  address: string
  sleep: Sleep
  /** Looks at the Migration again soon. */
  wake(migrationUID: string): void
  recorder: EventRecorder
}
