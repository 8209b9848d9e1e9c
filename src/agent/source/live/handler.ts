/** The source side of mode Live: looks, plans, does the next thing that is missing. */
import { truth } from '../../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import type { AgentContext } from '../../context.ts'
import { referenceOf, writeStatus } from '../../status.ts'
import { isDiskFull } from '../failure.ts'
import type { SourceHandler } from '../handler.ts'
import { forgottenRelease, isForgotten, podState, tellPod } from '../pods.ts'
import { failed } from '../report.ts'
import { Tasks } from '../tasks.ts'
import { endDumps, unwind } from './abort.ts'
import { deliver } from './deliver.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { move } from './move.ts'
import { type LiveAction, type LiveView, plan } from './plan.ts'
import { prepare } from './prepare.ts'
import { release } from './release.ts'
import * as report from './report.ts'
import { watchPages } from './watch.ts'

/** While pages are pending, dump, keeper and freeze are looked at: each second of a lost one is downtime. */
const WATCH_MS = 1_000
/** After something was stopped. */
const AGAIN_MS = 10

export function createLiveSource(ctx: AgentContext, deps: LiveSourceDependencies): SourceHandler {
  const { client, log } = ctx
  const { journal, fence } = deps
  const now = () => ctx.now().toISOString()
  const onError = (uid: string, kind: string, err: unknown) => log.warn({ migration: uid, err }, `live ${kind} failed`)
  const tasks = new Tasks(deps.wake, onError, deps.sleep)
  const lostSince = new Map<string, number>()

  const startUnwind = (entry: LiveEntry) => tasks.start(entry.uid, 'dump', () => unwind(ctx, deps, entry))

  const gather = async (migration: Migration): Promise<LiveView> => {
    const { uid } = migration.metadata
    const status = migration.status ?? {}
    const entry = journal.read(uid)
    const fenced = entry?.step === 'fenced'
    const kind = tasks.kind(uid)
    const pending = fenced && isPending(status)
    const podMatters = truth(status, 'Restored') === 'True' && truth(status, 'Delivered') === 'True'
    const pages = pending ? await watchPages(deps, entry) : 'served'
    if (pages !== 'lost') lostSince.delete(uid)
    else if (!lostSince.has(uid)) lostSince.set(uid, ctx.now().getTime())
    return {
      status,
      entry,
      // One task goes from the first copy to the commit.
      task: kind === 'dump' && fenced ? 'deliver' : kind,
      pod: podMatters && status.source?.cleanedAt === undefined ? await podState(client, migration) : 'present',
      frozen: pending && truth(status, 'Committed') === 'Unknown' && (await fence.isFrozen(entry.cgroup)),
      pages,
      lostForMs: ctx.now().getTime() - (lostSince.get(uid) ?? ctx.now().getTime()),
    }
  }

  const act = async (action: LiveAction, migration: Migration): Promise<void> => {
    const reference = referenceOf(migration)
    const { uid } = reference
    const entry = journal.read(uid)
    const write = (change: (status: MigrationStatus) => MigrationStatus) => writeStatus(client, reference, change)
    switch (action.do) {
      case 'wait':
        return
      case 'begin':
        return await begin(migration)
      case 'withdraw':
        return await tasks.stop(uid)
      case 'unwind':
        if (entry) startUnwind(entry)
        return
      case 'deliver':
        if (entry) tasks.start(uid, 'deliver', (signal) => deliver(ctx, deps, { migration, entry, signal }))
        return
      case 'reportFailed':
        if (entry?.failure) await write(failed(entry.failure, now()))
        return
      case 'reportLost':
        await write(report.lost(action.what, now()))
        return
      case 'reportPagesLost':
        if (entry) await reportPagesLost(migration, entry)
        return
      case 'release': {
        await tasks.stop(uid)
        const podUID = migration.status?.source?.podUID ?? ''
        await release(ctx, deps, { migrationUID: uid, podUID, entry, by: action.by })
        if (entry?.step === 'fenced' && action.by === 'thaw')
          tellPod(deps.recorder, entry, 'Resumed', 'the migration was rolled back; runs on')
        await write(report.cleaned(entry?.commitMs, now()))
      }
    }
  }

  /** A CRIU that somebody's kill has left working would end well and kill the source, after the destination was given up. */
  const reportPagesLost = async (migration: Migration, entry: LiveEntry) => {
    await endDumps(ctx, deps, entry.uid, entry)
    if ((await watchPages(deps, entry)) === 'lost')
      await writeStatus(client, referenceOf(migration), report.pagesLost(now()))
  }

  const begin = async (migration: Migration) => {
    try {
      const entry = await prepare(ctx, deps, migration)
      if (entry === undefined) return
      await journal.write(entry)
      tasks.start(entry.uid, 'dump', (signal) => move(ctx, deps, migration, entry, signal))
    } catch (error) {
      // A refusal is final; anything else (API server away, pod still held by another Migration) is tried again.
      const refusal = isDiskFull(error) ? journalFull(ctx.nodeName, error) : error
      if (!(refusal instanceof PodferryError) || refusal.retry === 'backoff') throw error
      const { reason, message } = refusal
      await writeStatus(client, referenceOf(migration), failed({ reason, message, criuLog: [] }, now()))
    }
  }

  return {
    recover() {
      for (const entry of journal.list()) if (entry.step === 'preparing' || entry.step === 'dumping') startUnwind(entry)
    },
    async reconcile(migration) {
      const { namespace, name } = referenceOf(migration)
      const view = await gather(migration)
      const action = plan(view)
      if (action.do !== 'wait')
        log.info({ migration: `${namespace}/${name}`, pod: migration.spec.podName, action }, 'live source')
      await act(action, migration)
      if (action.do === 'withdraw') return AGAIN_MS
      return view.entry?.step === 'fenced' && isPending(view.status) ? WATCH_MS : undefined
    },
    async forget(uid) {
      lostSince.delete(uid)
      const entry = journal.read(uid)
      if (entry === undefined || !(await isForgotten(client, entry))) return
      await tasks.stop(uid)
      await releaseForgotten(uid)
    },
    close: (patienceMs) => tasks.close(patienceMs),
  }

  /** The Migration is gone although its finalizer was ours to wait for: somebody took it off by force. */
  async function releaseForgotten(uid: string): Promise<void> {
    const entry = journal.read(uid)
    if (entry === undefined) return
    // Only this agent commits, and only what is fenced: nothing else can have a destination that may run.
    const by = entry.step === 'fenced' ? await forgottenRelease(client, entry) : 'thaw'
    if (entry.step === 'preparing' || entry.step === 'dumping') await unwind(ctx, deps, entry)
    await release(ctx, deps, { migrationUID: uid, podUID: entry.pod.uid, entry: journal.read(uid), by })
    log.warn({ migration: uid, pod: entry.pod.name, by }, 'released a Migration that was removed by force')
  }
}

const journalFull = (node: string, cause: unknown): PodferryError =>
  new PodferryError({
    reason: 'DiskFull',
    message: `the journal on node ${node}, /var/lib/podferry, cannot be written: the disk is full; free space there`,
    cause,
  })

/** Whether pages of a fenced pod may still be wanted. */
const isPending = (status: MigrationStatus): boolean =>
  truth(status, 'Committed') !== 'False' &&
  truth(status, 'Restored') !== 'False' &&
  truth(status, 'Delivered') === 'Unknown'
