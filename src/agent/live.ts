/** Puts the parts of mode Live together: jobs and page keepers on the node, the two sides, and what the node needs for both. */
import { join } from 'node:path'
import type { EventRecorder } from '../kube/events.ts'
import type { AgentContext } from './context.ts'
import type { LiveDestinationDependencies } from './destination/live/dependencies.ts'
import { createLiveDestination } from './destination/live/handler.ts'
import { unmark } from './destination/live/marks.ts'
import { nodeMounts } from './destination/live/root.ts'
import type { Fence } from './fence/fence.ts'
import { labelNode } from './install/label.ts'
import { installLive, type LiveAbility } from './install/live.ts'
import { nodeCommands } from './install/node-commands.ts'
import { createJobs } from './jobs/jobs.ts'
import { LIVE_JOURNAL_FOLDER, openJournal } from './journal.ts'
import { packImages, unpackImages } from './live/files/images.ts'
import { packFiles } from './live/files/pack.ts'
import { isNeeded, sourceRoots } from './live/files/roots.ts'
import { unpackFiles } from './live/files/unpack.ts'
import { createKeepers } from './pages/keepers.ts'
import type { IdentityHolder } from './peer/identity.ts'
import { openLivePeer } from './peer/live-client.ts'
import type { Uploads } from './peer/uploads.ts'
import { createPreflight } from './preflight/preflight.ts'
import type { CriClient } from './runtime/cri.ts'
import { liveEntrySchema } from './source/live/entry.ts'
import { createLiveSource } from './source/live/handler.ts'
import { createPlaces } from './source/live/places.ts'
import { createStorage } from './source/live/storage.ts'
import { pause } from './source/tasks.ts'

export interface LiveOptions {
  nodeAddress: string
  kubeletRoot: string
  /** The runtime's storage on the node. */
  runtimeRoot: string
  runtimeSocket: string
  pageBytesPerSecond: number | undefined
  identity: IdentityHolder
  fence: Fence
  cri: CriClient
  uploads: Uploads
  recorder: EventRecorder
  wake(migrationUID: string): void
  /** Whether no Migration has anything open on this node: containerd may be restarted then. */
  isIdle(): boolean
}

export async function createLive(ctx: AgentContext, options: LiveOptions) {
  const { hostRoot, log, client, nodeName } = ctx
  const { nodeAddress, kubeletRoot, runtimeRoot, runtimeSocket, identity, fence, cri, uploads, recorder, wake } =
    options
  const journal = await openJournal({ folder: join(hostRoot, LIVE_JOURNAL_FOLDER), schema: liveEntrySchema, log })
  const jobs = createJobs(hostRoot)
  const keepers = createKeepers({ hostRoot, jobs, identity, log, bytesPerSecond: options.pageBytesPerSecond })
  const source = createLiveSource(ctx, {
    ...{ journal, fence, jobs, keepers, kubeletRoot, recorder, wake },
    unmark: (podUID) => unmark(hostRoot, podUID),
    places: createPlaces(hostRoot, { node: nodeCommands, mounts: nodeMounts(hostRoot) }),
    files: { sourceRoots, isNeeded, packFiles, packImages },
    storage: createStorage({ hostRoot, kubeletRoot, node: nodeCommands, sleep: pause }),
    openPeer: (peer) => openLivePeer({ ...peer, identity, selfAddress: nodeAddress }),
    checkIdentity: () => void identity.current(),
    node: nodeCommands,
    preflight: createPreflight(hostRoot, nodeCommands),
    address: nodeAddress,
    sleep: pause,
  })
  const atDestination: LiveDestinationDependencies = {
    ...{ cri, fence, jobs, keepers, uploads, kubeletRoot, runtimeRoot },
    files: { unpackFiles, unpackImages },
    node: nodeCommands,
    mounts: nodeMounts(hostRoot),
  }
  const destination = createLiveDestination(ctx, atDestination)
  return {
    journal,
    source,
    destination,
    atDestination,
    receiver: destination.receiver,
    /** Makes the node able and says so by its label; a node that is not able serves mode Image all the same. */
    async install(): Promise<LiveAbility> {
      const mayRestart = options.isIdle()
      const ability = await installLive({ hostRoot, log, runtimeSocket, mayRestart })
      if (!ability.able)
        log.warn({ reason: ability.reason }, `this node can't take part in live moves: ${ability.message}`)
      await labelNode(client, nodeName, ability.able)
      return ability
    },
  }
}
