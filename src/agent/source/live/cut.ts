/** The moment at which the pod stops: dump, freeze, and the hold on CRIU's connection. */
import { allSettled } from '../../../all-settled.ts'
import { PodferryError } from '../../../errors.ts'
import type { AgentContext } from '../../context.ts'
import type { JobState } from '../../jobs/jobs.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { containerFolder, statusFile } from './places.ts'
import { dumpCommand, pauseContainer } from './runc.ts'
import { watchPages } from './watch.ts'

/** 4 GiB take 0.7 s; the pod's probes would not bear much more. */
const DUMP_PATIENCE_MS = 60_000
const POLL_MS = 3

/**
 * Stops the pod. Afterwards it is frozen and claimed, every CRIU serves its pages, and the journal says `fenced`.
 *
 * @param entry with the keepers' ports
 * @throws whatever went wrong; the journal then says `dumping`, and all of it wants to be unwound
 */
export async function cut(ctx: AgentContext, deps: LiveSourceDependencies, entry: LiveEntry): Promise<LiveEntry> {
  const { fence, journal, keepers, node, places } = deps
  const { uid, cgroup } = entry
  const ports = await places.freePorts(entry.containers.length)
  const containers = entry.containers.map((container, index) => ({ ...container, dumpPort: ports[index] ?? 0 }))
  const dumping: LiveEntry = { ...entry, containers, step: 'dumping' }
  await journal.write(dumping)
  // Long before the freeze: what is frozen without a claim would stay so for ever.
  await fence.claim(cgroup, uid)
  const memoryBytes = await fence.memoryBytes(cgroup)

  const began = ctx.now().getTime()
  // Each dump takes its own time: without this the containers' states would be of different moments.
  if (containers.length > 1) await allSettled(containers.map(({ id }) => pauseContainer(node, id)))
  const together = { failed: false }
  await allSettled(containers.map((container) => dump(ctx, deps, uid, container, together)))
  const served = ctx.now().getTime()
  // Not earlier: CRIU hangs when it must dump what is frozen. The first connection to CRIU is the only one, so it is made at once.
  await allSettled([
    fence.freeze(cgroup),
    ...containers.map(({ name, dumpPort }) => keepers.open(containerFolder(uid, name), dumpPort)),
  ])
  const pages = await watchPages(deps, dumping)
  if (pages !== 'served') throw notServed(entry.pod.name)

  const stopped = await stoppedAt(places, uid, containers, { began, served })
  const fenced: LiveEntry = {
    ...dumping,
    step: 'fenced',
    frozenAt: new Date(stopped).toISOString(),
    dumpMs: served - stopped,
    fenceMs: ctx.now().getTime() - served,
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  }
  await journal.write(fenced)
  return fenced
}

/** One container alone runs on until CRIU stops it; runc's and CRIU's own beginning costs it nothing. */
async function stoppedAt(
  places: LiveSourceDependencies['places'],
  uid: string,
  containers: readonly { name: string }[],
  { began, served }: { began: number; served: number },
): Promise<number> {
  const [only, ...others] = containers
  const noted = only && others.length === 0 ? await places.stoppedAt(containerFolder(uid, only.name)) : undefined
  return noted === undefined ? began : Math.min(Math.max(Math.floor(noted), began), served)
}

/** Resolves when CRIU serves the pages of one container, or when another container's dump has failed. */
async function dump(
  ctx: AgentContext,
  { jobs, places, sleep }: LiveSourceDependencies,
  uid: string,
  { id, name, dumpPort }: { id: string; name: string; dumpPort: number },
  together: { failed: boolean },
): Promise<void> {
  const folder = containerFolder(uid, name)
  try {
    const argv = dumpCommand(id, folder, dumpPort)
    await jobs.start({ folder, name: 'dump', argv, onNode: true, statusFile: statusFile(folder) })
    for (const end = ctx.now().getTime() + DUMP_PATIENCE_MS; !together.failed; await sleep(POLL_MS)) {
      // In this order: what has ended in between has written its byte, or never will.
      const state = await jobs.state(folder, 'dump')
      if (await places.isServing(folder)) return
      if (state.is !== 'running') throw dumpFailed(name, state, await places.said(folder))
      if (ctx.now().getTime() > end) throw timedOut(name)
    }
  } catch (error) {
    together.failed = true
    throw error
  }
}

function dumpFailed(container: string, state: JobState, said: { criuLog: string[]; runc: string }): PodferryError {
  const how = state.is === 'ended' ? `ended with ${state.exitCode}` : 'was killed'
  return new PodferryError({
    reason: 'CheckpointFailed',
    message: `runc checkpoint of container ${container} ${how}: ${said.runc || 'it said nothing'}`,
    criuLog: said.criuLog,
  })
}

const timedOut = (container: string) =>
  new PodferryError({
    reason: 'CheckpointTimedOut',
    message: `CRIU did not serve the pages of container ${container} within ${DUMP_PATIENCE_MS / 1000} s; the node may be short of processor time, try again`,
  })

const notServed = (pod: string) =>
  new PodferryError({
    reason: 'DumpLost',
    message: `pod ${pod}: a dump or its page keeper ended right after the dump; try again`,
  })
