/** What is done while the pod still runs, so that little is left to do while it stands still. */

import { join } from 'node:path'
import { allSettled } from '../../../all-settled.ts'
import type { Migration } from '../../../api/migration.ts'
import type { AgentContext } from '../../context.ts'
import type { SourceRoot } from '../../live/files/roots.ts'
import type { LivePeer } from '../../peer/live-client.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { containerFolder, snapshotsFolder } from './places.ts'
import { type Part, packed, sendAll } from './send.ts'

/** What the delivery need not find out again while the pod stands still. */
export interface Prepared {
  peer: LivePeer
  roots: SourceRoot[]
}

/** The pod runs on meanwhile: better late than not at all. */
const PATIENCE_MS = 60_000

/**
 * Starts a keeper for each container, tells the destination agent of them, and copies the files a first time.
 *
 * @returns the entry with ports and times, not yet journalled
 */
export async function precopy(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  migration: Migration,
  entry: LiveEntry,
  signal: AbortSignal,
): Promise<{ entry: LiveEntry; prepared: Prepared }> {
  const { uid } = entry
  const began = ctx.now().getTime()
  await deps.places.make(
    uid,
    entry.containers.map(({ name }) => name),
  )
  const containers = await allSettled(
    entry.containers.map(async (container) => {
      const folder = containerFolder(uid, container.name)
      const peerNode = migration.status?.destination?.node ?? ''
      const { port } = await deps.keepers.startSource({ folder, address: deps.address, peerNode })
      return { ...container, pagePort: port }
    }),
  )
  const withKeepers = { ...entry, containers }
  const roots = await rootsOf(ctx, deps, withKeepers)
  // What lies in memory changes too fast to be copied twice.
  const parts = roots.filter(({ medium }) => medium === 'disk').map((root) => fileRoot(ctx, deps, uid, root, 0))
  const sending = { migration, entry: withKeepers, patienceMs: PATIENCE_MS, signal }
  const { bytes, peer } = await sendAll(ctx, deps, sending, parts)
  // So that little is left to write while the pod stands still; a storage that is silent is found before that.
  await deps.storage.sync(entry.pod, PATIENCE_MS)
  const copied = { ...withKeepers, filesystemBytes: bytes, precopyMs: ctx.now().getTime() - began }
  return { entry: copied, prepared: { peer, roots } }
}

export const rootsOf = (
  { hostRoot }: AgentContext,
  { files, kubeletRoot }: LiveSourceDependencies,
  { pod, containers }: LiveEntry,
): Promise<SourceRoot[]> => files.sourceRoots(hostRoot, kubeletRoot, { uid: pod.uid, containers })

/** One file root: all of it (level 0), or what has changed since (level 1). */
export function fileRoot(
  { hostRoot }: AgentContext,
  { files }: LiveSourceDependencies,
  uid: string,
  root: SourceRoot,
  level: 0 | 1,
): Part {
  const snapshots = join(hostRoot, snapshotsFolder(uid))
  return packed(
    `${root.root} (level ${level})`,
    () => files.packFiles({ root, snapshots, level }),
    (peer, body) => peer.sendFiles({ root: root.root, level, body }),
  )
}
