/**
 * Moves in every order of decisions, failures and kills, on the real wrapper. The world checks each write; here the ends are
 * checked: nothing is left, and nothing can start afterwards that must not.
 */
import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { isFalse, isTrue, truth } from '../../../api/conditions.ts'
import { POD_UID } from './testing/node.ts'
import { World } from './testing/world.ts'

interface Story {
  decision: 'commit' | 'abort before anything came' | 'abort after all came'
  restore: 'well' | 'fails' | 'wrapper killed in it' | 'wrapper killed before it'
  pages: 'arrive' | 'daemon dies' | 'source says lost'
  /** Effects before each kill of the agent. */
  crashes: number[]
  /** Whether the agent looks at old copies too. */
  lag: boolean
}

const stories: fc.Arbitrary<Story> = fc.record({
  decision: fc.constantFrom('commit', 'commit', 'commit', 'abort before anything came', 'abort after all came'),
  restore: fc.constantFrom('well', 'well', 'well', 'fails', 'wrapper killed in it', 'wrapper killed before it'),
  pages: fc.constantFrom('arrive', 'daemon dies', 'source says lost'),
  crashes: fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 8 }),
  lag: fc.boolean(),
})

/** @returns false when it had to be aborted instead: the agent was killed too often while things came in */
async function uptoDecision(world: World, { decision }: Story): Promise<boolean> {
  await world.until('ready', () => isTrue(world.status, 'DestinationReady'))
  if (decision === 'abort before anything came') return false
  for (let tries = 0; tries < 12; tries++) if (await world.send()) return decision === 'commit'
  return false
}

async function play(world: World, story: Story): Promise<void> {
  const { node } = world
  world.crashes = [...story.crashes]
  world.lag = story.lag
  world.restart()
  void node.startContainer().catch((error) => world.broken.push(error))
  if (!(await uptoDecision(world, story))) world.set('Committed', 'False')
  else {
    if (story.restore === 'fails') await writeFile(join(node.hostRoot, 'code'), '1')
    if (story.restore === 'wrapper killed in it') await writeFile(join(node.hostRoot, 'hang'), '')
    if (story.restore === 'wrapper killed before it') await node.killWrapper()
    world.set('Committed', 'True')
    if (story.restore === 'wrapper killed in it') {
      const strike = async () => {
        while ((await node.calls('restore')).length === 0) await delay(2)
        await node.killWrapper()
      }
      void strike().catch((error) => world.broken.push(error))
    }
    await world.until('decided', () => truth(world.status, 'Restored') !== 'Unknown')
    await rm(join(node.hostRoot, 'hang'), { force: true })
    if (isTrue(world.status, 'Restored')) {
      if (story.pages === 'source says lost') world.set('Delivered', 'False')
      else await world.endDaemon(story.pages === 'arrive' ? 0 : 137)
    }
  }
  await world.until('clean', () => world.status.destination?.cleanedAt !== undefined)
}

test('every move ends, and ends one way only', async () => {
  await fc.assert(
    fc.asyncProperty(stories, async (story) => {
      const world = await World.make()
      try {
        await play(world, story)
        const { status, node } = world
        const arrived = isTrue(status, 'Delivered') && isTrue(status, 'Restored')
        assert.equal(node.runs, arrived)
        assert.equal(world.exists(`restored/by-pod/${POD_UID}`), arrived)
        assert.equal(world.exists(`restore/${POD_UID}`), false, 'staging is left')
        assert.notEqual(world.jobs.get('lazy')?.is, 'running')
        assert.equal(world.keeper, undefined)
        assert.equal((await node.calls('create')).length, 0)
        assert.equal(status.destination?.removedAt !== undefined, isTrue(status, 'Committed') && !arrived)
        if (isFalse(status, 'Committed')) assert.deepEqual(await node.calls(), [])
        if (story.restore === 'fails' && isTrue(status, 'Committed'))
          assert.equal(status.failure?.reason, 'FileMissing')
      } finally {
        await world.close()
      }
    }),
    { numRuns: 15, endOnFailure: true },
  )
})

test('a container that kubelet has made anew gets nothing: what was copied ahead lies in the layer of the one before', async () => {
  const world = await World.make()
  try {
    void world.node.startContainer()
    await world.until('ready', () => isTrue(world.status, 'DestinationReady'))
    assert.ok((await world.begin()) && (await world.sendLayer(0)))
    await world.node.killWrapper()
    assert.equal(await world.begin(), false, 'none waits')
    while (world.node.containers.length < 2) await delay(5)
    await delay(200)
    assert.equal(await world.begin(), false, 'another waits')
    assert.equal(await world.sendLayer(1), false)
  } finally {
    await world.close()
  }
})

test('a container that kubelet has made anew before anything was sent takes it all', async () => {
  const world = await World.make()
  try {
    void world.node.startContainer()
    await world.until('ready', () => isTrue(world.status, 'DestinationReady'))
    await world.node.killWrapper()
    while (!(await world.begin())) await delay(20)
    assert.ok(await world.send())
  } finally {
    await world.close()
  }
})

test('a pod that is deleted between commit and restore is not restored: the source goes on', async () => {
  const world = await World.make()
  try {
    void world.node.startContainer()
    await world.until('ready', () => isTrue(world.status, 'DestinationReady'))
    assert.ok(await world.send())
    void world.node.deletePod()
    world.set('Committed', 'True')
    await world.until('decided', () => isFalse(world.status, 'Restored'))
    assert.equal(world.status.failure?.reason, 'DestinationPodDeleted')
    assert.deepEqual(await world.node.calls(), [])
    await world.until('removed', () => world.status.destination?.removedAt !== undefined)
  } finally {
    await world.close()
  }
})

test('a container that ends after it has arrived starts as any other', async () => {
  const world = await World.make()
  try {
    await play(world, { decision: 'commit', restore: 'well', pages: 'arrive', crashes: [], lag: false })
    world.node.killProcesses()
    while (!world.node.runs) await delay(5)
    assert.equal((await world.node.calls('create')).length, 1)
  } finally {
    await world.close()
  }
})

for (const moment of ['before the commit', 'after the restore'] as const) {
  test(`a Migration removed by force ${moment} leaves nothing that starts by mistake`, async () => {
    const world = await World.make()
    try {
      void world.node.startContainer()
      await world.until('ready', () => isTrue(world.status, 'DestinationReady'))
      assert.ok(await world.send())
      if (moment === 'after the restore') {
        world.set('Committed', 'True')
        await world.until('restored', () => isTrue(world.status, 'Restored'))
      }
      world.migrationGone = true
      await world.forget()
      await world.sweep()
      if (moment === 'after the restore') {
        assert.equal(world.node.runs, true)
        await world.endDaemon(0)
      } else {
        await delay(100)
        assert.deepEqual(await world.node.calls(), [])
        await world.node.deletePod()
      }
      await world.sweep()
      assert.equal(world.exists(`restore/${POD_UID}`), false)
      assert.equal(world.exists(`restored/by-pod/${POD_UID}`), moment === 'after the restore')
    } finally {
      await world.close()
    }
  })
}
