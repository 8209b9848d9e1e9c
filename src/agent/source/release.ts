/** The end of the fence and of everything that a Migration has left on the source node. Whether it may end, `plan.ts` says. */
import type { AgentContext } from '../context.ts'
import { checkpointFolder, removeArchives } from './archives.ts'
import type { SourceDependencies } from './dependencies.ts'
import type { SourceEntry } from './entry.ts'

interface Release {
  migrationUID: string
  podUID: string
  /** Undefined when the journal has nothing: no dump was begun, or all was released before. */
  entry: SourceEntry | undefined
  /** `kill` ends the processes before they could run on; `thaw` lets them. `keep`: as `kill`, and the archives stay. */
  by: 'thaw' | 'kill' | 'keep'
}

/** Idempotent: each thing goes only after the one that would miss it, the journal entry last. */
export async function release(ctx: AgentContext, deps: SourceDependencies, options: Release): Promise<void> {
  const { fence, journal } = deps
  const { migrationUID, entry, by } = options
  const cgroup = entry?.cgroup ?? (await fence.find(options.podUID))
  if (cgroup !== undefined) {
    const claimant = await fence.claimant(cgroup)
    // A later Migration of the same pod may have frozen it by now: its fence is not ours to end.
    const ours = claimant === migrationUID || (claimant === undefined && entry?.step === 'fenced')
    if (ours) await (by === 'thaw' ? fence.thaw(cgroup) : fence.killAll(cgroup))
    await fence.clear(cgroup, migrationUID)
    ctx.log.info({ migration: migrationUID, cgroup: cgroup.path, by, ours }, 'fence ended')
  }
  if (entry === undefined) return
  // Again: the pause of a cancelled dump may have come after the unwinding.
  if (by === 'thaw') await deps.resumeContainer(entry.container.id)
  if (by !== 'keep') await removeArchives(ctx.hostRoot, checkpointFolder(deps.kubeletRoot), entry)
  await journal.remove(migrationUID)
}

/** Of a pod that is recreated: the processes end here, not their state. Idempotent: the journal says so when it is done. */
export async function empty(
  { log }: AgentContext,
  { fence, journal }: SourceDependencies,
  { migrationUID, podUID, entry }: Omit<Release, 'by'>,
): Promise<void> {
  const cgroup = entry?.cgroup ?? (await fence.find(podUID))
  if (cgroup !== undefined) {
    await fence.killAll(cgroup)
    await fence.clear(cgroup, migrationUID)
  }
  if (entry) await journal.write({ ...entry, step: 'emptied' })
  log.info({ migration: migrationUID, cgroup: cgroup?.path }, 'the processes are dead; their checkpoint is kept')
}
