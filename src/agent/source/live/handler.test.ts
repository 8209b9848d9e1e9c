/** Single histories of mode Live's source that random ones reach too seldom to be relied on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, isTrue } from '../../../api/conditions.ts'
import { events } from './testing/events.ts'
import { UID, World } from './testing/world.ts'

/** Dumped and fenced, while the destination agent does not answer. */
async function fencedWorld(): Promise<World> {
  const world = new World()
  events.destinationReady(world)
  await world.look()
  events.peerBreaks(world)
  await world.pass(5_000)
  await world.pass(10)
  assert.equal(world.journal.get(UID)?.step, 'fenced')
  return world
}

test('fence, delivery and commit need no look in between', async () => {
  const world = new World(['c', 'd'])
  events.destinationReady(world)
  await world.look()
  await world.pass(5_000)
  await world.pass(10)
  assert.ok(isTrue(world.status, 'Checkpointed') && isTrue(world.status, 'Committed'))
})

test('a destination agent that was restarted is told of the keepers again', async () => {
  const world = await fencedWorld()
  events.peerRestarts(world)
  events.peerIsBack(world)
  await world.pass(2_000)
  assert.ok(isTrue(world.status, 'Committed'))
})

test('a destination agent that stays away is given up: a pod must not stand still for long', async () => {
  const world = await fencedWorld()
  for (let second = 0; second < 40; second++) await world.pass(1_000)
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'DestinationUnreachable')
  assert.equal(world.node.frozen, true, 'the controller decides')
})

test('what the destination refuses for good is not asked for again: the pod must not stand still for nothing', async () => {
  const world = await fencedWorld()
  world.destination.refusal = 'ContainerReplaced'
  events.peerIsBack(world)
  await world.pass(2_000)
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'ContainerReplaced')
  assert.equal(world.status.failure?.reason, 'ContainerReplaced')
})

test('what is refused while the files are copied is the reason of the end, and the pod has never stood still', async () => {
  const world = new World()
  world.destination.refusal = 'DiskTooSmall'
  events.destinationReady(world)
  await world.look()
  await world.pass(100)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'DiskTooSmall')
  assert.ok(world.node.runs && world.node.clean)
})

test('a storage that takes nothing more before the pod stands still: it never does', async () => {
  const world = new World()
  world.storageSilent = true
  events.destinationReady(world)
  await world.look()
  await world.pass(100)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'VolumeNotSynced')
  assert.equal(world.status.timings?.frozenAt, undefined)
  assert.ok(world.node.runs && world.node.clean)
})

test('a storage that falls silent while the pod stands still ends the move before the commit', async () => {
  const world = await fencedWorld()
  world.storageSilent = true
  world.restart()
  events.peerIsBack(world)
  await world.look()
  await world.pass(2_000)
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'VolumeNotSynced')
  assert.equal(condition(world.status, 'Committed'), undefined)
  events.abort(world)
  await world.look()
  assert.ok(world.node.runs && world.node.clean)
})

test('an agent that has no certificate yet waits for it, and begins then', async () => {
  const world = new World()
  world.certified = false
  events.destinationReady(world)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed'), undefined)
  assert.equal(world.journal.size, 0)
  world.certified = true
  await world.look()
  await world.pass(5_000)
  await world.pass(10)
  assert.ok(isTrue(world.status, 'Committed'))
})

test('a runc that is killed in the middle of its dump leaves a CRIU that is ended only when it has left the processes', async () => {
  const world = new World()
  events.destinationReady(world)
  await world.look()
  await world.pass(1_000)
  assert.equal(world.node.boxes.get('c')?.dump?.criu, 'working')
  events.runcKilled(world)
  // The node asserts that nobody kills a CRIU that works.
  for (let step = 0; step < 8; step++) await world.pass(1_000)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'CheckpointFailed')
  assert.ok(world.node.runs && world.node.clean)
})

test('what CRIU refuses for a moment is tried again: the pod runs in between, and is moved all the same', async () => {
  const world = new World(['c', 'd'])
  events.destinationReady(world)
  await world.look()
  await world.pass(1_000)
  events.dumpMeetsConnection(world)
  await world.pass(10)
  assert.ok(world.node.runs && world.node.clean)
  assert.equal(world.journal.get(UID)?.step, 'dumping')
  await world.pass(400)
  assert.equal(world.node.boxes.get('d')?.dump?.criu, 'working')
  await world.pass(5_000)
  await world.pass(10)
  assert.ok(isTrue(world.status, 'Committed'))
})

test('four times, no more', async () => {
  const world = new World()
  events.destinationReady(world)
  await world.look()
  for (let tries = 0; tries < 4; tries++) {
    await world.pass(300 * 2 ** tries + 100)
    assert.equal(world.node.boxes.get('c')?.dump?.criu, 'working')
    events.dumpMeetsConnection(world)
    await world.pass(10)
  }
  await world.pass(400)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'SocketInFlight')
  assert.ok(world.node.runs && world.node.clean)
})

test('an agent that is killed between two tries leaves a pod that runs, and says so', async () => {
  const world = new World()
  events.destinationReady(world)
  await world.look()
  await world.pass(1_000)
  events.dumpMeetsConnection(world)
  await world.pass(10)
  world.crash()
  await world.look()
  await world.pass(1_000)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'AgentRestarted')
  assert.ok(world.node.runs && world.node.clean)
})

test('a journal without room for the reason leaves it to the API server, and the pod runs on', async () => {
  const world = new World()
  events.destinationReady(world)
  world.destination.refusal = 'DiskTooSmall'
  world.journalFull = true
  await world.look()
  await world.pass(100)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'DiskFull')
  assert.ok(world.node.runs && world.node.clean)
  assert.equal(world.journal.size, 0)
})

test('a journal that becomes full while the files are copied: the same', async () => {
  const world = new World()
  events.destinationReady(world)
  events.peerBreaks(world)
  await world.look()
  assert.equal(world.journal.get(UID)?.step, 'preparing')
  world.journalFull = true
  world.destination.refusal = 'DiskTooSmall'
  events.peerIsBack(world)
  await world.pass(2_000)
  await world.look()
  assert.equal(condition(world.status, 'Checkpointed')?.reason, 'DiskTooSmall')
  assert.ok(world.node.runs && world.node.clean)
  assert.equal(world.journal.size, 0)
})

test('pages that stay lost are reported by the source, and its dump is ended first', async () => {
  const world = await fencedWorld()
  events.peerIsBack(world)
  await world.pass(2_000)
  events.runcKilled(world)
  await world.look()
  assert.equal(condition(world.status, 'Delivered'), undefined)
  await world.pass(3_000)
  await world.look()
  assert.equal(condition(world.status, 'Delivered')?.reason, 'PagesLost')
  assert.equal(world.node.boxes.get('c')?.dump?.criu, 'gone')
  assert.equal(world.node.frozen, true)
})

test('removed by force while the files are copied: the pod runs on, nothing is left', async () => {
  const world = new World()
  events.destinationReady(world)
  events.peerBreaks(world)
  await world.look()
  world.removedByForce = true
  await world.forget()
  assert.ok(world.node.runs && world.node.clean)
  assert.equal(world.journal.size, 0)
})

test('removed by force while fenced: thawed when no destination pod exists', async () => {
  const world = await fencedWorld()
  world.destination.pod = 'none'
  world.removedByForce = true
  await world.forget()
  assert.ok(world.node.runs && world.node.clean)
  assert.deepEqual(world.ends, ['forgotten'])
})

test('removed by force while fenced: stays frozen while both pods are there', async () => {
  const world = await fencedWorld()
  world.removedByForce = true
  await world.forget()
  assert.equal(world.node.frozen, true)
  assert.equal(world.journal.size, 1)
})

test('removed by force while fenced: killed when the source pod is being deleted', async () => {
  const world = await fencedWorld()
  world.removedByForce = true
  events.deletedByHand(world)
  await world.forget()
  assert.ok(world.node.killed && world.node.clean)
})

test('a Migration that is only not in the cache is not forgotten', async () => {
  const world = await fencedWorld()
  await world.forget()
  assert.equal(world.node.frozen, true)
  assert.equal(world.journal.size, 1)
})
