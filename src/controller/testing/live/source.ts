/** The source node: its agent by its real plan and reports, CRIU and page keeper, kubelet. */

import type { LiveEntry } from '../../../agent/source/live/entry.ts'
import { type LiveAction, plan } from '../../../agent/source/live/plan.ts'
import * as report from '../../../agent/source/live/report.ts'
import { isFalse, isTrue, truth } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import { receives, stage } from './destination.ts'
import type { Moves, SourceNode, World } from './world.ts'

/** What a journal's entry says that no decision looks at. */
const ENTRY = { containers: [{ name: 'main' }], memoryBytes: 4096 } as unknown as LiveEntry
const STAGED = { stageMs: 1, filesystemBytes: 1 }
const LONG_MS = 60_000

export function sourceMoves(world: World): Moves {
  return {
    sourceAgent: () => act(world, plan(viewOf(world))),
    sourceTask: () => (world.source.task === 'deliver' ? deliver(world) : dump(world)),
    criuServes: () => turn(world.source, 'dumping', 'serving'),
    criuFails: () => turn(world.source, 'dumping', 'failed'),
    killDump: () => {
      turn(world.source, 'dumping', 'failed')
      turn(world.source, 'serving', 'failed')
    },
    killKeeper: () => {
      if (['waiting', 'open'].includes(world.source.keeper)) world.source.keeper = 'dead'
    },
    crashSource: () => forget(world.source),
    kubeletSource: () => kubelet(world),
  }
}

const turn = (source: SourceNode, from: SourceNode['dump'], to: SourceNode['dump']) => {
  if (source.dump === from) source.dump = to
}

export function forget(source: SourceNode) {
  source.task = undefined
  source.sent = false
  source.observed = undefined
  source.pagesLostSeen = false
}

function pagesOf({ dump, keeper }: SourceNode): 'served' | 'done' | 'lost' {
  if (dump === 'done') return 'done'
  return dump === 'serving' && (keeper === 'open' || keeper === 'finished') ? 'served' : 'lost'
}

function viewOf({ migration, sourcePod, source, bugs }: World): Parameters<typeof plan>[0] {
  const status = believed(migration?.status ?? {}, bugs)
  const pod = sourcePod?.metadata.uid === status.source?.podUID ? sourcePod : undefined
  const forgotten = bugs.unwindFenced && source.journal === 'fenced' && isTrue(status, 'Committed')
  const step = forgotten ? 'dumping' : source.journal
  return {
    status,
    entry: step && { step },
    task: source.task,
    pod: !pod ? 'gone' : pod.metadata.deletionTimestamp ? 'leaving' : 'present',
    frozen: source.process === 'frozen',
    pages: pagesOf(source),
    lostForMs: source.pagesLostSeen ? LONG_MS : 0,
  }
}

/** What an agent with a bug takes for proved. */
function believed(status: MigrationStatus, bugs: World['bugs']): MigrationStatus {
  const trusts =
    (bugs.thawOnRestoredFalse && isFalse(status, 'Restored')) ||
    (bugs.thawOnDeliveredFalse && isFalse(status, 'Delivered'))
  return trusts && status.destination ? { ...status, destination: { ...status.destination, removedAt: 'now' } } : status
}

function act(world: World, action: LiveAction) {
  const { source } = world
  const now = world.time()
  source.pagesLostSeen = pagesOf(source) === 'lost'
  switch (action.do) {
    case 'begin':
      source.journal = source.process === 'running' ? 'preparing' : 'failed'
      if (source.journal === 'preparing') source.task = 'dump'
      return
    case 'withdraw':
    case 'unwind':
      resume(source)
      forget(source)
      source.journal = 'failed'
      return
    case 'deliver':
      source.task = 'deliver'
      source.sent = false
      return
    case 'reportFailed':
      return world.update(report.lost({ reason: 'CriuFailed', message: 'model', criuLog: [] }, now))
    case 'reportLost':
      return world.update(report.lost(action.what, now))
    case 'reportPagesLost':
      return world.update(report.pagesLost(now))
    case 'release':
      return release(world, action.by)
  }
}

/** First the node, the journal last; the status by another move. */
function release(world: World, by: 'thaw' | 'kill') {
  const { source } = world
  const left = source.journal !== undefined || source.process === 'frozen' || source.dump !== 'none'
  if (!left) return world.update(report.cleaned(undefined, world.time()))
  if (by === 'thaw') resume(source)
  else if (source.process === 'running' || source.process === 'frozen') source.process = 'dead'
  forget(source)
  source.dump = 'none'
  source.keeper = 'none'
  source.journal = undefined
}

/** Aborts the dump, which resumes the tasks, and thaws; what CRIU has killed is dead then. */
function resume(source: SourceNode) {
  source.dump = 'none'
  source.keeper = 'none'
  if (source.process === 'frozen') source.process = source.doomed ? 'dead' : 'running'
}

/** From the first copy to the fence. */
function dump(world: World) {
  const { source } = world
  if (source.task !== 'dump') return
  if (source.journal === 'preparing') {
    if (!receives(world)) return
    source.journal = 'dumping'
    source.dump = 'dumping'
    source.keeper = 'waiting'
  } else if (source.dump === 'failed' || source.keeper === 'dead') {
    resume(source)
    source.journal = 'failed'
    source.task = undefined
  } else if (source.dump === 'serving') {
    // Frozen first, then written down: a crash in between unwinds.
    if (source.keeper === 'waiting') source.keeper = 'open'
    else if (source.process === 'running') source.process = 'frozen'
    else if (source.process === 'frozen') {
      source.journal = 'fenced'
      source.task = undefined
    }
  }
}

/** From the fence to the commit. */
function deliver(world: World) {
  const { source, migration } = world
  const { status } = migration ?? {}
  if (!migration || !status) return
  if (source.observed) return commit(world, source.observed)
  if (truth(status, 'Checkpointed') === 'Unknown' && truth(status, 'Committed') === 'Unknown')
    return world.update(report.checkpointed(ENTRY, world.time()))
  if (!source.sent) {
    source.sent = stage(world)
    if (truth(status, 'Committed') !== 'Unknown') source.task = undefined
    return
  }
  const fenced = source.process === 'frozen' && source.journal === 'fenced' && pagesOf(source) === 'served'
  if (report.isCommittable(status) && fenced) source.observed = migration
  else source.task = undefined
}

function commit(world: World, observed: NonNullable<World['migration']>) {
  const { source, migration, bugs } = world
  source.observed = undefined
  const current = migration?.metadata.resourceVersion === observed.metadata.resourceVersion
  if (!current && !bugs.commitWithoutPrecondition) return
  world.replace(report.committed(ENTRY, STAGED, world.time())(observed.status ?? {}))
  source.task = undefined
}

/** A frozen process can't be killed by kubelet (cgroup v1); a dead one is started again unless its pod is on its way out. */
function kubelet(world: World) {
  const { source, sourcePod } = world
  if (!sourcePod) {
    if (source.process === 'running') source.process = 'dead'
  } else if (!sourcePod.metadata.deletionTimestamp) {
    if (source.process === 'dead') source.process = 'cold'
  } else if (source.process !== 'frozen') {
    world.sourcePod = undefined
    source.process = 'dead'
  }
}
