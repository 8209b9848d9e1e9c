/** The end of the fence and of everything that a Migration of mode Live has left on the source node. */
import type { AgentContext } from '../../context.ts'
import { endDumps, letRun, reapDumps, removeAll } from './abort.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'

interface Release {
  migrationUID: string
  podUID: string
  /** Undefined when the journal has nothing: nothing was begun, all was released before, or the entry is lost. */
  entry: LiveEntry | undefined
  /** `kill` ends the processes before they could run on; `thaw` lets them. Whether it may, `plan.ts` says. */
  by: 'thaw' | 'kill'
}

/** Idempotent: each thing goes only after the one that would miss it, the journal entry last. */
export async function release(ctx: AgentContext, deps: LiveSourceDependencies, options: Release): Promise<void> {
  const { fence, journal } = deps
  const { migrationUID: uid, entry, by } = options
  const cgroup = entry?.cgroup ?? (await fence.find(options.podUID))
  if (by === 'thaw') {
    // CRIU first: as long as it holds the processes, a thaw would not let them run.
    await endDumps(ctx, deps, uid, entry)
    if (cgroup !== undefined) await letRun(deps, { uid, cgroup, fenced: entry?.step === 'fenced' })
  } else {
    const claimant = cgroup && (await fence.claimant(cgroup))
    const ours = claimant === uid || (claimant === undefined && entry?.step === 'fenced')
    // CRIU last: it would let the processes go, and they must be dying by then.
    // Not the sandbox: containerd 2.3 leaves a shim behind when that dies in the same moment as its containers. Kubelet ends it.
    const only = entry?.containers.map(({ id }) => id)
    if (cgroup !== undefined && ours) await fence.killAll(cgroup, only)
    await reapDumps(ctx, deps, uid)
    // It may have come here by a move itself; kubelet, should it not know yet that the pod goes, must start nothing anew.
    await deps.unmark(options.podUID)
  }
  await removeAll(deps, uid)
  if (cgroup !== undefined) await fence.clear(cgroup, uid)
  ctx.log.info({ migration: uid, cgroup: cgroup?.path, by }, 'fence ended')
  if (entry !== undefined) await journal.remove(uid)
}
