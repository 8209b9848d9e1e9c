/** What the others, the runtime and fate may do at any moment, each only when the protocol allows it. */
import assert from 'node:assert/strict'
import { isFalse, isTrue, truth } from '../../../../api/conditions.ts'
import type { World } from './world.ts'

const boxes = (world: World) => [...world.node.boxes.values()]
const REMOVED_AT = '2026-01-01T00:00:00Z'

const destinationEvents = {
  destinationReady(world) {
    world.set('DestinationReady', 'True')
    if (world.destination.pod === 'none') world.destination.pod = 'waits'
  },
  startDestination(world) {
    const { status, destination } = world
    if (!isTrue(status, 'Committed') || isFalse(status, 'Restored') || isFalse(status, 'Delivered')) return
    if (destination.pod === 'waits') destination.pod = 'runs'
    world.checkCopies()
  },
  restored(world) {
    if (world.destination.pod === 'runs' && truth(world.status, 'Restored') === 'Unknown') world.set('Restored', 'True')
  },
  restoreFailed(world) {
    const { status, destination } = world
    if (isTrue(status, 'Committed') && destination.pod === 'waits' && truth(status, 'Restored') === 'Unknown')
      world.set('Restored', 'False')
  },
  /** All pages have arrived: the daemon ends well, CRIU ends well and kills the source. */
  pagesArrive(world) {
    const { node, destination } = world
    if (destination.pod !== 'runs' || !node.serves) return
    destination.whole = true
    for (const box of boxes(world)) {
      if (box.keeper) box.keeper.phase = 'finished'
      node.finishDump(box)
    }
  },
  /** The same, but neither keeper nor CRIU of the source have heard of it yet. */
  pagesArriveUnheard({ node, destination }) {
    if (destination.pod === 'runs' && node.serves) destination.whole = true
  },
  delivered(world) {
    if (world.destination.whole && truth(world.status, 'Delivered') === 'Unknown') world.set('Delivered', 'True')
  },
  pagesLost(world) {
    const { status, destination } = world
    if (destination.pod === 'runs' && !destination.whole && truth(status, 'Delivered') === 'Unknown') {
      destination.pod = 'removed'
      world.set('Delivered', 'False')
    }
  },
  removeDestination(world) {
    const { status, destination } = world
    const failed = isFalse(status, 'Restored') || isFalse(status, 'Delivered')
    if (!failed || !status.destination || status.destination.removedAt) return
    destination.pod = 'removed'
    world.patch({ destination: { ...status.destination, removedAt: REMOVED_AT } })
  },
  peerBreaks: ({ destination }) => void Object.assign(destination, { reachable: false }),
  peerIsBack: ({ destination }) => void Object.assign(destination, { reachable: true }),
  peerRestarts: ({ destination }) => void Object.assign(destination, { begun: false }),
} satisfies Record<string, (world: World) => unknown>

const controllerEvents = {
  abort(world) {
    if (truth(world.status, 'Committed') === 'Unknown') world.set('Committed', 'False')
    if (!isTrue(world.status, 'Committed') && world.destination.pod === 'waits') world.destination.pod = 'removed'
  },
  /** Asked by a person; the controller decides later. */
  cancel(world) {
    const annotations = { 'podferry.dev/cancel': 'somebody' }
    if (truth(world.status, 'Committed') === 'Unknown')
      world.store({ ...world.migration, metadata: { ...world.migration.metadata, annotations } })
  },
  deleteSource(world) {
    const { status, pod } = world
    if (isTrue(status, 'Restored') && isTrue(status, 'Delivered') && pod) pod.metadata.deletionTimestamp = REMOVED_AT
  },
  /** A person deletes the source pod, whatever the Migration does. */
  deletedByHand: ({ pod }) => void Object.assign(pod?.metadata ?? {}, { deletionTimestamp: REMOVED_AT }),
  sourceGone(world) {
    // Kubelet can remove the pod only when its processes are dead.
    if (world.pod?.metadata.deletionTimestamp !== undefined && world.node.killed) world.pod = undefined
  },
} satisfies Record<string, (world: World) => unknown>

const fate = {
  dumpFails: (world) => boxes(world).forEach((box) => void world.node.failDump(box)),
  /** What passes by itself. */
  dumpMeetsConnection(world) {
    if (!boxes(world).some(({ dump }) => dump?.criu === 'working')) return
    world.node.criuLog = ['(00.1) Error (criu/sk-unix.c:887): unix: Non-empty write queue on an in-flight socket 0x1']
    for (const box of boxes(world)) world.node.failDump(box)
  },
  runcKilled: (world) => boxes(world).forEach((box) => void world.node.killRunc(box)),
  keeperKilled(world) {
    const box = boxes(world)[0]
    if (box?.keeper) box.keeper.lives = false
  },
  /** The connection to CRIU ends without a word: it takes that for success. */
  connectionEnds(world) {
    const box = boxes(world)[0]
    if (box?.keeper?.phase !== 'open' || box.dump?.criu !== 'serving') return
    box.keeper.phase = 'failed'
    world.node.finishDump(box)
    world.node.stateLost = true
  },
  /** A probe, or a person: nobody can do it while the commit is on its way. */
  thawedByOthers(world) {
    if (!world.node.frozen || truth(world.status, 'Committed') !== 'Unknown' || world.hasLateWrite) return
    world.node.frozen = false
  },
  apiGoes: (world) => void Object.assign(world, { api: 'down' }),
  apiIsBack: (world) => void Object.assign(world, { api: 'up' }),
  answerIsLost: (world) => void world.fates.push('silent'),
  writeIsLate: (world) => void world.fates.push('late'),
  writeIsOvertaken: (world) => void world.fates.push('overtaken'),
  writeIsFine: (world) => void world.fates.push('fine'),
  lateWriteLands: (world) => world.landLateWrite(),
  storageGoes: (world) => void Object.assign(world, { storageSilent: true }),
  storageIsBack: (world) => void Object.assign(world, { storageSilent: false }),
  crash: (world) => world.crash(),
  moment: (world) => world.pass(20),
  seconds: (world) => world.pass(5_000),
} satisfies Record<string, (world: World) => unknown>

export const events = { ...destinationEvents, ...controllerEvents, ...fate }
export type EventName = keyof typeof events

/** Everybody does their part until the Migration is clean. */
export async function finish(world: World): Promise<void> {
  world.api = 'up'
  world.storageSilent = false
  world.fates = []
  world.destination.reachable = true
  for (let round = 0; round < 60 && world.status.source?.cleanedAt === undefined; round++) {
    await world.look()
    await world.pass(5_000)
    world.landLateWrite()
    for (const name of ['destinationReady', 'startDestination', 'restored', 'pagesArrive', 'delivered'] as const)
      events[name](world)
    const { status } = world
    if (isFalse(status, 'Checkpointed') || world.migration.metadata.annotations) events.abort(world)
    // The destination's own patience ends.
    if (round > 20) events.pagesLost(world)
    for (const name of ['removeDestination', 'deleteSource'] as const) events[name](world)
  }
  await world.look()
  assert.ok(
    world.status.source?.cleanedAt,
    `not clean: ${JSON.stringify(world.status)} ${JSON.stringify([...world.journal])}`,
  )
}
