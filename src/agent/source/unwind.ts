/** A dump that came to nothing, in this process or in one that was killed: the pod runs on as if nothing had happened. */
import type { AgentContext } from '../context.ts'
import { checkpointFolder, removeArchives } from './archives.ts'
import type { SourceDependencies } from './dependencies.ts'
import type { SourceEntry } from './entry.ts'
import { removeScraps } from './scraps.ts'

/** Told when nobody knows better: an error would have been journalled before the unwinding. */
const RESTARTED = {
  reason: 'AgentRestarted',
  message: 'the source agent was restarted during the dump; the pod runs on, make a new Migration',
  criuLog: [],
}

/**
 * Brings the pod back and journals `failed`. Idempotent: a crash in the middle starts it again.
 *
 * The thaw here needs no decision by the controller: `Checkpointed=True` is written only from a journal that says `fenced`, so
 * nobody can have committed or ever will.
 */
export async function unwind(ctx: AgentContext, deps: SourceDependencies, entry: SourceEntry): Promise<void> {
  const { fence, journal } = deps
  const { cgroup, uid, container } = entry
  await fence.withdraw(cgroup, uid)
  // CRIU runs the hook near its end: once no dump runs, a freeze that was claimed has happened or never will.
  await deps.dumpEnded(container.id)
  if (await fence.isClaimed(cgroup, uid)) await fence.thaw(cgroup)
  await deps.resumeContainer(container.id)
  await removeArchives(ctx.hostRoot, checkpointFolder(deps.kubeletRoot), entry)
  await removeScraps(ctx.hostRoot, Date.parse(entry.startedAt))
  await fence.clear(cgroup, uid)
  await journal.write({ ...entry, step: 'failed', archives: [], failure: entry.failure ?? RESTARTED })
}
