/** The way back: dumps end so that CRIU lets the pod's processes go, and then these run on. */
import { allSettled } from '../../../all-settled.ts'
import type { AgentContext } from '../../context.ts'
import type { PodCgroup } from '../../fence/pod-cgroup.ts'
import { writeStatus } from '../../status.ts'
import { isDiskFull } from '../failure.ts'
import { failed } from '../report.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { containerFolder } from './places.ts'

/** Told when nobody knows better: an error would have been journalled before the unwinding. */
export const RESTARTED = {
  reason: 'AgentRestarted',
  message: 'the source agent was restarted during the dump; the pod runs on, make a new Migration',
  criuLog: [],
}

/** So long a dump may take to the point at which it can be ended without harm. */
const MIDDLE_PATIENCE_MS = 10_000
/** So long CRIU may take to let the processes go. */
const END_PATIENCE_MS = 3_000
const POLL_MS = 10

/**
 * Brings the pod back and journals `failed`. Idempotent: a crash in the middle starts it again.
 *
 * The thaw here needs no decision by the controller: only this agent commits, and only from a journal that says `fenced`.
 */
export async function unwind(ctx: AgentContext, deps: LiveSourceDependencies, entry: LiveEntry): Promise<void> {
  await bringBack(ctx, deps, entry)
  const failure = entry.failure ?? RESTARTED
  try {
    await deps.journal.write({ ...entry, step: 'failed', failure })
  } catch (error) {
    if (!isDiskFull(error)) throw error
    // The API server keeps what the journal has no room for. Killed in between, all of this is done once more.
    await writeStatus(ctx.client, entry, failed(failure, ctx.now().toISOString()))
    await deps.journal.remove(entry.uid)
  }
}

/** The pod runs on, and nothing of the Migration is left on the node but its journal entry. Idempotent. */
export async function bringBack(ctx: AgentContext, deps: LiveSourceDependencies, entry: LiveEntry): Promise<void> {
  await endDumps(ctx, deps, entry.uid, entry)
  await letRun(deps, { ...entry, fenced: false })
  await removeAll(deps, entry.uid)
  await deps.fence.clear(entry.cgroup, entry.uid)
}

/**
 * Ends every dump of the Migration as failed, upon which CRIU lets the processes go; they stay frozen where they are. Each of
 * the keeper, its holder and SIGKILL can do that alone.
 *
 * @param entry undefined when the journal has lost it
 */
export async function endDumps(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  uid: string,
  entry: LiveEntry | undefined,
): Promise<void> {
  const end = async (name: string) => {
    const port = entry?.containers.find((container) => container.name === name)?.dumpPort
    const folder = containerFolder(uid, name)
    await persuade(ctx, deps, folder, port).catch((err) =>
      ctx.log.warn({ migration: uid, container: name, err }, 'the dump cannot be aborted; it is killed'),
    )
    // Always: a CRIU whose runc was killed works on.
    await deps.jobs.kill(folder, 'dump')
  }
  await allSettled((await deps.places.containers(uid)).map(end))
}

async function persuade(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  folder: string,
  port: number | undefined,
): Promise<void> {
  const { jobs, keepers, places } = deps
  // Not runc's end alone: killed by somebody, it leaves a CRIU that works on.
  const ended = async () => !(await jobs.lives(folder, 'dump'))
  // Up to the byte CRIU runs code of its own inside the processes: a SIGKILL there would leave it in them.
  await until(ctx, deps, MIDDLE_PATIENCE_MS, async () => (await ended()) || (await places.isServing(folder)))
  if (await ended()) return
  const keeper = await keepers.state(folder)
  if (keeper?.phase === 'waiting' && port !== undefined) await keepers.open(folder, port)
  await keepers.abort(folder)
  await until(ctx, deps, END_PATIENCE_MS, ended)
}

/** Waits for the dumps of processes that have been killed, then ends what is left. */
export async function reapDumps(ctx: AgentContext, deps: LiveSourceDependencies, uid: string): Promise<void> {
  const reap = async (name: string) => {
    const folder = containerFolder(uid, name)
    const ended = async () => (await deps.jobs.state(folder, 'dump')).is !== 'running'
    await until(ctx, deps, END_PATIENCE_MS, ended)
    await deps.jobs.kill(folder, 'dump')
  }
  await allSettled((await deps.places.containers(uid)).map(reap))
}

/**
 * Ends this Migration's fence; dumps must have ended.
 *
 * @param of fenced: the journal says so, should the claim be lost
 */
export async function letRun(
  { fence }: LiveSourceDependencies,
  { uid, cgroup, fenced }: { uid: string; cgroup: PodCgroup; fenced: boolean },
): Promise<void> {
  const claimant = await fence.claimant(cgroup)
  // A later Migration of the same pod may have frozen it by now: its fence is not ours to end.
  if (claimant !== uid && (claimant !== undefined || !fenced)) return
  await fence.thaw(cgroup)
  // Several containers were paused one by one before their dumps.
  await fence.thawWithin(cgroup)
}

/** Keepers and folders; dumps must have ended, or CRIU would take it for the end of the transfer. */
export async function removeAll({ keepers, places }: LiveSourceDependencies, uid: string): Promise<void> {
  for (const name of await places.containers(uid)) await keepers.end(containerFolder(uid, name))
  await places.remove(uid)
}

async function until(
  { now }: AgentContext,
  { sleep }: LiveSourceDependencies,
  patienceMs: number,
  holds: () => Promise<boolean>,
): Promise<void> {
  for (const end = now().getTime() + patienceMs; now().getTime() < end; await sleep(POLL_MS)) if (await holds()) return
}
