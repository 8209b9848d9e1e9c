/** The destination's agent, by its real plan and reports. */

import { arrivals, orphans } from '../../../agent/destination/live/leftovers.ts'
import { plan } from '../../../agent/destination/live/plan.ts'
import * as report from '../../../agent/destination/live/report.ts'
import { isFalse, isFinished, isTrue, truth } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import { AWAIT_ANNOTATION } from '../../../api/names.ts'
import { kill } from './kubelet.ts'
import { type Arrival, DESTINATION, type Moves, type Staging, type World } from './world.ts'

export function destinationMoves(world: World): Moves {
  return {
    destinationAgent: () => reconcile(world),
    sweep: () => sweep(world),
    pagesFlow: () => pagesFlow(world),
    farewell: () => farewell(world),
    crashDestination: () => forget(world),
    killLazy: () => {
      for (const staging of world.destination.staging.values()) if (staging.lazy === 'running') staging.lazy = 'failed'
    },
    silence: () => {
      if (!pagesCanFlow(world)) world.destination.silent = true
    },
  }
}

export function forget({ destination }: World) {
  destination.view = undefined
  destination.proved = false
  destination.silent = false
}

const arrivalOf = ({ destination }: World, uid: string): Arrival | undefined =>
  destination.arrivals.find((arrival) => arrival.uid === uid)

/** Whether a request of the source agent would be taken. */
export function receives(world: World): boolean {
  const { status } = world
  const isOpen = isTrue(status, 'DestinationReady') && truth(status, 'Committed') === 'Unknown'
  return world.isLinked() && isOpen && status?.destination?.podUID !== undefined
}

/** Images and files arrive, `criu lazy-pages` is started. */
export function stage(world: World): boolean {
  const uid = world.status?.destination?.podUID
  if (uid === undefined || !receives(world)) return false
  const staging = world.stagingOf(uid)
  staging.staged = true
  staging.lazy = 'running'
  return true
}

function reconcile(world: World) {
  const { destination, status } = world
  if (destination.node !== 'up' || !status) return
  const uid = status.destination?.podUID
  if (world.bugs.gateByOwnKnowledge && uid !== undefined && destination.staging.get(uid)?.staged)
    world.stagingOf(uid).gate ??= 'restore'
  const { do: action } = plan(status, DESTINATION)
  if (action === 'cleanUp') return cleanUp(world, uid)
  if (action === 'remove') return remove(world, uid)
  if (uid === undefined) return
  if (action === 'open') open(world, uid)
  if (action === 'release') release(world, uid, status)
  if (action === 'watchPages') watchPages(world, uid)
  if (action === 'settle') settle(world, uid)
}

function open(world: World, uid: string) {
  world.stagingOf(uid)
  const found = { status: 'True', reason: 'Ready', message: 'model' } as const
  if (arrivalOf(world, uid)?.wrapper === 'waiting') world.update(report.readiness(found, world.time()))
}

const failure = (reason: string) => ({ reason, message: 'model', criuLog: [] })

function release(world: World, uid: string, status: MigrationStatus) {
  const { destination } = world
  const staging = world.stagingOf(uid)
  const why = lossOf(staging, arrivalOf(world, uid))
  if (why !== undefined) return world.update(report.restoreFailed(failure(why), world.time()))
  if (staging.outcome === 'restored') return world.update(report.restored(world.time(), world.time()))
  if (staging.used) return
  // Read and opened are two moments.
  if (destination.view === undefined) {
    destination.view = status
    return
  }
  if (report.isReleasable(destination.view)) staging.gate = 'restore'
  destination.view = undefined
}

function lossOf({ staged, used, outcome, lazy }: Staging, arrival: Arrival | undefined): string | undefined {
  if (outcome !== undefined) return outcome === 'failed' ? 'RestoreFailed' : undefined
  if (!staged) return 'StagingLost'
  if (used) return arrival?.wrapper === 'restoring' ? undefined : 'RestoreLost'
  if (arrival?.wrapper !== 'waiting') return 'ContainerReplaced'
  return lazy === 'running' ? undefined : 'LazyPagesLost'
}

function pagesCanFlow(world: World): boolean {
  const { dump, keeper } = world.source
  return world.isLinked() && dump === 'serving' && keeper === 'open'
}

function pagesFlow(world: World) {
  if (!pagesCanFlow(world)) return
  for (const { uid, process } of world.destination.arrivals) {
    const staging = world.destination.staging.get(uid)
    if (process === 'running' && staging?.lazy === 'running') staging.lazy = 'ok'
  }
}

function watchPages(world: World, uid: string) {
  const { marks, silent } = world.destination
  const staging = world.stagingOf(uid)
  if (!staging.refused) marks.add(uid)
  if (staging.lazy === 'ok') {
    world.update(report.pagesArrived(world.time()))
  } else if (staging.lazy !== 'running' || silent) {
    // Before the register: from the decision on, nothing may start afresh here.
    if (staging.refused) world.update(report.pagesLost(failure('PagesLost'), world.time()))
    staging.refused = true
    if (world.bugs.deliveredTwice) staging.lazy = 'ok'
  }
}

/** The keeper tells its twin that CRIU may end, which kills the source: only when the API server has Delivered=True. */
function farewell(world: World) {
  const { source, status, bugs } = world
  const uid = status?.destination?.podUID
  const staging = uid === undefined ? undefined : world.destination.staging.get(uid)
  const may = bugs.finishedByDaemon ? staging?.lazy === 'ok' : isTrue(status, 'Delivered')
  if (!staging || !may || !pagesCanFlow(world)) return
  source.keeper = 'finished'
  source.dump = 'done'
  source.doomed = true
}

function settle(world: World, uid: string) {
  world.destination.marks.add(uid)
  world.destination.staging.delete(uid)
  world.update(report.cleaned(world.time()))
}

/** Refuses, kills, looks whether all is gone, says so: four moments. */
function remove(world: World, uid: string | undefined) {
  const { destination, bugs } = world
  if (bugs.deliveredTwice && isFalse(world.status, 'Delivered') && uid && destination.staging.get(uid)?.lazy === 'ok')
    return overwrite(world)
  if (uid !== undefined && !destination.proved) {
    const staging = world.stagingOf(uid)
    const wasRefused = staging.refused && staging.gate === 'refuse'
    staging.refused = true
    staging.gate = 'refuse'
    destination.marks.delete(uid)
    if (!wasRefused) return
    const arrival = arrivalOf(world, uid)
    if (!bugs.proofWithoutLooking && arrival && arrival.process !== 'dead' && arrival.process !== 'none')
      return kill(world, arrival)
    if (arrival?.wrapper === 'restoring') arrival.wrapper = 'none'
  }
  if (!destination.proved) {
    destination.proved = bugs.proofWithoutLooking || (destination.arrivals.length === 0 && !world.destinationPod)
    return
  }
  destination.proved = false
  if (uid !== undefined) destination.staging.delete(uid)
  world.update(report.removed(world.time()))
}

function overwrite(world: World) {
  world.update((status) => {
    const conditions = (status.conditions ?? []).map((c) =>
      c.type === 'Delivered' ? { ...c, status: 'True' as const } : c,
    )
    return { ...status, conditions }
  })
}

function cleanUp(world: World, uid: string | undefined) {
  if (uid !== undefined) world.destination.staging.delete(uid)
  world.update(report.cleaned(world.time()))
}

function endOrphan(world: World, uid: string) {
  world.stagingOf(uid).refused = true
  world.destination.marks.delete(uid)
  const arrival = arrivalOf(world, uid)
  if (arrival) kill(world, arrival)
  else world.destination.staging.delete(uid)
}

function sweep(world: World) {
  const { destination, migration, destinationPod, bugs } = world
  if (destination.node !== 'up') return
  const ours = destinationPod === undefined || destinationPod.metadata.uid === world.status?.destination?.podUID
  if (ours && migration && !isFinished(world.status)) return
  const view = { migrations: migration ? [migration] : [], pods: destinationPod ? [destinationPod] : [] }
  for (const { podUID, mayRun } of orphans([...destination.staging.keys()], view)) if (!mayRun) endOrphan(world, podUID)
  for (const uid of arrivals(view)) destination.marks.add(uid)
  const annotated = destinationPod?.metadata.annotations?.[AWAIT_ANNOTATION] !== undefined
  const uid = destinationPod?.metadata.uid
  if (bugs.markByAnnotation && annotated && uid !== undefined && uid !== world.status?.destination?.podUID)
    destination.marks.add(uid)
}
