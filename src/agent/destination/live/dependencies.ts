/** The effects that the Live destination needs, so that tests run the same code on fakes and scratch folders. */
import type { Readable } from 'node:stream'
import type { Fence } from '../../fence/fence.ts'
import type { NodeCommands } from '../../install/node-commands.ts'
import type { Jobs } from '../../jobs/jobs.ts'
import type { Keepers } from '../../pages/keepers.ts'
import type { Uploads } from '../../peer/uploads.ts'
import type { CriClient } from '../../runtime/cri.ts'

export interface LiveDestinationDependencies {
  cri: Pick<CriClient, 'sandboxes' | 'containers' | 'image'>
  fence: Pick<Fence, 'find' | 'killAll' | 'thawWithin'>
  jobs: Jobs
  keepers: Keepers
  files: {
    unpackFiles(o: { folder: string; body: Readable; signal: AbortSignal }): Promise<{ bytes: number }>
    unpackImages(o: { folder: string; body: Readable; signal: AbortSignal }): Promise<{ bytes: number }>
  }
  node: NodeCommands
  /** The node's table of mounts; see nodeMounts. */
  mounts(): Promise<string>
  /** Shared with the peer server. */
  uploads: Pick<Uploads, 'abort'>
  /** The kubelet's --root-dir on the node. */
  kubeletRoot: string
  /** The container runtime's storage on the node. */
  runtimeRoot: string
}
