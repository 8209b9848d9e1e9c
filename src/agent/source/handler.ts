/** The source side of Migrations whose pod runs on this node: looks, plans, does the next thing that is missing. */
import { truth } from '../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { isRecreated } from '../../api/recreated.ts'
import { PodferryError } from '../../errors.ts'
import type { AgentContext, MigrationHandler } from '../context.ts'
import { referenceOf, writeStatus } from '../status.ts'
import { dump, prepare } from './checkpoint.ts'
import { deliver } from './deliver.ts'
import type { SourceDependencies } from './dependencies.ts'
import type { SourceEntry } from './entry.ts'
import { plan, type SourceAction, type SourceView } from './plan.ts'
import { forgottenRelease, isForgotten, podState, tellPod } from './pods.ts'
import { empty, release } from './release.ts'
import * as report from './report.ts'
import { Tasks } from './tasks.ts'
import { unwind } from './unwind.ts'

export interface SourceHandler extends MigrationHandler {
  /** Begins to unwind what an earlier process left in the middle of a dump; needs no API server. Call before anything else. */
  recover(): void
  /** Stops deliveries; a running dump is waited for at most so long. What is left, the next process picks up. */
  close(patienceMs: number): Promise<void>
}

/** While fenced and not committed, somebody may thaw or kill the pod behind our back. */
const FENCE_CHECK_MS = 5_000
/** After this time without `Delivered` everything is sent once more: the registry may have lost it. */
const RESEND_MS = 60_000

export function createSourceHandler(ctx: AgentContext, deps: SourceDependencies): SourceHandler {
  const { client, log } = ctx
  const now = () => ctx.now().toISOString()
  const { journal, fence } = deps
  const tasks = new Tasks(deps.wake, (uid, kind, err) => log.warn({ migration: uid, err }, `${kind} failed`))
  const sentAt = new Map<string, number>()

  const startDump = (entry: SourceEntry, timeoutSeconds: number) =>
    tasks.start(entry.uid, 'dump', () => dump(ctx, deps, entry, timeoutSeconds))
  const startUnwind = (entry: SourceEntry) => tasks.start(entry.uid, 'dump', () => unwind(ctx, deps, entry))

  const gather = async (migration: Migration): Promise<SourceView> => {
    const { uid } = migration.metadata
    const status = migration.status ?? {}
    const entry = journal.read(uid)
    const sent = performance.now() - (sentAt.get(uid) ?? Number.NEGATIVE_INFINITY) < RESEND_MS
    // Only a settled restore makes the pod's own state decisive, or (of one that is recreated) the commit.
    const settled =
      truth(status, 'Restored') === 'True' || (isRecreated(status) && truth(status, 'Committed') === 'True')
    const podMatters = settled && status.source?.cleanedAt === undefined
    const fenced = entry?.step === 'fenced' && truth(status, 'Committed') === 'Unknown'
    return {
      status,
      entry,
      task: tasks.kind(uid) ?? (sent ? 'sent' : undefined),
      pod: podMatters ? await podState(client, migration) : 'present',
      frozen: fenced && (await fence.isFrozen(entry.cgroup)),
    }
  }

  const act = async (action: SourceAction, migration: Migration): Promise<void> => {
    const reference = referenceOf(migration)
    const { uid } = reference
    const entry = journal.read(uid)
    const write = (change: (status: MigrationStatus) => MigrationStatus) => writeStatus(client, reference, change)
    switch (action.do) {
      case 'wait':
        return
      case 'checkpoint':
        return await begin(migration)
      case 'withdraw':
        if (entry) await fence.withdraw(entry.cgroup, uid)
        return
      case 'unwind':
        if (entry) startUnwind(entry)
        return
      case 'reportCheckpointed':
        if (!entry) return
        await write(report.checkpointed(entry, now()))
        return tellPod(
          deps.recorder,
          entry,
          'Frozen',
          `checkpointed for Migration ${reference.name}; frozen until it has moved or runs on`,
        )
      case 'reportFailed':
        if (entry?.failure) await write(report.failed(entry.failure, now()))
        return
      case 'reportLost':
        await write(report.lost(action.what, now()))
        return
      case 'deliver':
        if (entry) startDelivery(migration, entry)
        return
      case 'empty':
        await empty(ctx, deps, { migrationUID: uid, podUID: migration.status?.source?.podUID ?? '', entry })
        sentAt.delete(uid)
        await write(report.emptied(now()))
        return
      case 'reportEmptied':
        sentAt.delete(uid)
        await write(report.emptied(now()))
        return
      case 'reportNoReturn':
        await write(report.noReturn(now()))
        return
      case 'release': {
        await tasks.stop(uid)
        sentAt.delete(uid)
        const podUID = migration.status?.source?.podUID ?? ''
        if (action.by === 'keep' && entry) await write(report.kept(entry))
        await release(ctx, deps, { migrationUID: uid, podUID, entry, by: action.by })
        if (entry?.step === 'fenced' && action.by === 'thaw')
          tellPod(deps.recorder, entry, 'Resumed', 'the migration was rolled back; runs on')
        await write(report.cleaned(now()))
      }
    }
  }

  const begin = async (migration: Migration) => {
    try {
      const entry = await prepare(ctx, deps, migration)
      if (entry === undefined) return
      await journal.write(entry)
      startDump(entry, migration.spec.timeoutSeconds)
    } catch (error) {
      // A refusal is final; anything else (API server away, pod still held by another Migration) is tried again.
      if (!(error instanceof PodferryError) || error.retry === 'backoff') throw error
      const { reason, message } = error
      await writeStatus(client, referenceOf(migration), report.failed({ reason, message, criuLog: [] }, now()))
    }
  }

  const startDelivery = (migration: Migration, entry: SourceEntry) =>
    tasks.start(entry.uid, 'deliver', async (signal) => {
      await deliver(ctx, deps, migration, entry, signal)
      sentAt.set(entry.uid, performance.now())
      await writeStatus(client, referenceOf(migration), report.sent(entry))
    })

  /** The Migration is gone although its finalizer was ours to wait for: somebody took it off by force. */
  const releaseForgotten = async (entry: SourceEntry) => {
    const { uid, namespace, name, pod } = entry
    if (!(await isForgotten(client, entry))) return
    const found = await forgottenRelease(client, entry)
    // Of a pod that is recreated: nothing is there to thaw, and the archive is all there is of the pod.
    const by = found === 'thaw' && entry.step === 'emptied' ? 'keep' : found
    await tasks.stop(uid)
    await release(ctx, deps, { migrationUID: uid, podUID: pod.uid, entry, by })
    log.warn({ migration: `${namespace}/${name}`, pod: pod.name, by }, 'released a Migration that was removed by force')
  }

  return {
    recover() {
      for (const entry of journal.list()) if (entry.step === 'dumping') startUnwind(entry)
    },
    async reconcile(migration) {
      const { namespace, name } = referenceOf(migration)
      const view = await gather(migration)
      const action = plan(view)
      if (action.do !== 'wait')
        log.info({ migration: `${namespace}/${name}`, pod: migration.spec.podName, action }, 'source')
      await act(action, migration)
      return view.entry?.step === 'fenced' && truth(view.status, 'Committed') === 'Unknown' ? FENCE_CHECK_MS : undefined
    },
    async forget(uid) {
      sentAt.delete(uid)
      const entry = journal.read(uid)
      if (entry === undefined) return
      if (tasks.kind(uid) === 'dump') {
        // Woken again when the dump has ended.
        await fence.withdraw(entry.cgroup, uid)
        return
      }
      await releaseForgotten(entry)
    },
    close: (patienceMs) => tasks.close(patienceMs),
  }
}
