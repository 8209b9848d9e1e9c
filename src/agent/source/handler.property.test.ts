/** The real source handler through random histories: stale looks, kill -9 before any effect, every decision of the others. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { isFalse, isTrue, truth } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { World } from './testing/world.ts'

let hostRoot: string
before(async () => {
  hostRoot = await mkdtemp(join(tmpdir(), 'podferry-source-'))
  for (const folder of ['tmp', 'var/lib/kubelet/checkpoints']) await mkdir(join(hostRoot, folder), { recursive: true })
})
after(() => rm(hostRoot, { recursive: true }))

/** What the others and the runtime may do at any moment, each only when the protocol allows it. */
const events = {
  destinationReady: (world: World) => world.set('DestinationReady', 'True'),
  delivered: (world: World) => {
    if (isTrue(world.status, 'Checkpointed')) world.set('Delivered', 'True')
  },
  commit: (world: World) => {
    const { status } = world
    if (truth(status, 'Committed') !== 'Unknown') return
    if (isTrue(status, 'Delivered') && isTrue(status, 'Checkpointed')) world.set('Committed', 'True')
  },
  abort: (world: World) => {
    if (truth(world.status, 'Committed') === 'Unknown') world.set('Committed', 'False')
  },
  startDestination: (world: World) => {
    const { status } = world
    if (isTrue(status, 'Committed') && !isFalse(status, 'Restored') && world.destination === 'none')
      world.destination = 'runs'
    assert.ok(!(world.sourceRuns && world.destination === 'runs'), 'both copies run')
  },
  restored: (world: World) => {
    if (world.destination === 'runs' && truth(world.status, 'Restored') === 'Unknown') world.set('Restored', 'True')
  },
  restoreFailed: (world: World) => {
    if (isTrue(world.status, 'Committed') && truth(world.status, 'Restored') === 'Unknown')
      world.set('Restored', 'False')
  },
  removeDestination: (world: World) => {
    const { status } = world
    if (!isFalse(status, 'Restored') || !status.destination || status.destination.removedAt) return
    world.destination = 'removed'
    world.patch({ ...status, destination: { ...status.destination, removedAt: '2026-01-01T00:00:00Z' } })
  },
  deleteSource: (world: World) => {
    if (isTrue(world.status, 'Restored') && world.pod) world.pod.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
  },
  sourceGone: (world: World) => {
    // Kubelet can remove the pod only when its processes are dead.
    if (world.pod?.metadata.deletionTimestamp !== undefined && world.node.killed) world.pod = undefined
  },
  hookClaims: (world: World) => world.hookClaims(),
  hookFreezes: (world: World) => world.hookFreezes(),
  dumpEndsWell: (world: World) => world.endDump(true),
  dumpFails: (world: World) => world.endDump(false),
  crash: (world: World) => world.crash(),
} satisfies Record<string, (world: World) => unknown>

type EventName = keyof typeof events
const names = Object.keys(events) as EventName[]

/** Seldom, or no walk would ever come to its end. */
const rare: readonly EventName[] = ['abort', 'restoreFailed', 'dumpFails', 'crash']
const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      look: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(3)),
      killBefore: fc.option(fc.nat(12), { freq: 1 }),
    }),
  },
  { weight: 30, arbitrary: fc.constantFrom(...names.filter((name) => !rare.includes(name))) },
  { weight: 2, arbitrary: fc.constantFrom(...rare) },
)

/** How far a Migration is when the random part begins; a walk from the start seldom comes to the later stages. */
const stages = {
  fresh: [],
  dumping: ['destinationReady', 'look'],
  claimed: ['destinationReady', 'look', 'hookClaims'],
  fenced: ['destinationReady', 'look', 'hookClaims', 'dumpEndsWell'],
  checkpointed: ['destinationReady', 'look', 'hookClaims', 'dumpEndsWell', 'look'],
  committed: ['destinationReady', 'look', 'hookClaims', 'dumpEndsWell', 'look', 'look', 'delivered', 'commit'],
} satisfies Record<string, readonly (EventName | 'look')[]>

const stageNames = Object.keys(stages) as (keyof typeof stages)[]

async function worldAt(stage: keyof typeof stages): Promise<World> {
  await writeFile(join(hostRoot, 'checkpoint.tar'), 'x')
  const world = new World(hostRoot)
  for (const name of stages[stage]) {
    if (name !== 'look') await events[name](world)
    else await world.look()
    // The dump looks at real files.
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return world
}

/** Everybody does their part until the Migration is clean. */
async function finish(world: World): Promise<void> {
  await writeFile(join(world.hostRoot, 'checkpoint.tar'), 'x')
  for (let round = 0; round < 400 && world.status.source?.cleanedAt === undefined; round++) {
    // Dump and release touch real files, which take their time on a busy machine.
    if (round > 20) await new Promise((resolve) => setTimeout(resolve, 5))
    await world.look()
    for (const name of ['destinationReady', 'hookClaims', 'dumpEndsWell', 'delivered'] as const)
      await events[name](world)
    if (isFalse(world.status, 'Checkpointed')) events.abort(world)
    events.commit(world)
    for (const name of ['startDestination', 'restored', 'removeDestination', 'deleteSource'] as const)
      events[name](world)
  }
  await world.look()
}

test('the fence ends only in the situations that allow it, and nothing is left at the end', {
  timeout: 300_000,
}, async () => {
  const ends = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...stageNames),
      fc.array(step, { maxLength: 60, size: 'max' }),
      async (stage, steps) => {
        const world = await worldAt(stage)
        const history: Migration[] = [world.migration]
        for (const item of steps) {
          if (typeof item === 'string') await events[item](world)
          else {
            if (item.killBefore !== null) world.crash(item.killBefore + 1)
            await world.look(history.at(-1 - Math.min(item.look, history.length - 1)))
          }
          if (history.at(-1) !== world.migration) history.push(world.migration)
        }
        world.restart()
        await finish(world)

        assert.ok(world.status.source?.cleanedAt, `not clean: ${JSON.stringify(world.status)}`)
        assert.equal(world.node.frozen, false)
        assert.deepEqual([...world.journal], [])
        assert.deepEqual([world.node.announced, world.node.claimed, world.node.withdrawn], ['', '', ''])
        const succeeded = isTrue(world.status, 'Restored')
        assert.equal(world.sourceRuns, !succeeded, 'exactly one copy runs at the end')
        assert.equal(world.destination === 'runs', succeeded)
        for (const thaw of world.thaws) ends.set(thaw, (ends.get(thaw) ?? 0) + 1)
      },
    ),
    { numRuns: 150 },
  )
  // A walk that never reaches a situation proves nothing about it.
  assert.deepEqual([...ends.keys()].sort(), ['aborted', 'killed', 'restore failed', 'unwound'])
})
