/** Random histories of one Migration: stale looks, kill -9 of the agent before any effect, every failure of the others. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isTrue } from '../../../../api/conditions.ts'
import type { Migration } from '../../../../api/migration.ts'
import type { LiveSourceDependencies } from '../dependencies.ts'
import { type EventName, events, finish } from './events.ts'
import { World } from './world.ts'

const names = Object.keys(events) as EventName[]

/** Seldom, or no walk would ever come to its end. */
const rare: readonly EventName[] = [
  ...(['answerIsLost', 'writeIsLate', 'writeIsOvertaken', 'writeIsFine'] as const),
  ...(['abort', 'cancel', 'restoreFailed', 'pagesLost', 'dumpFails', 'runcKilled', 'keeperKilled'] as const),
  ...(['connectionEnds', 'thawedByOthers', 'deletedByHand', 'apiGoes', 'peerBreaks', 'crash'] as const),
]

type Step = EventName | { look: number; killBefore: number | null }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      look: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(3)),
      killBefore: fc.option(fc.nat(40), { freq: 2 }),
    }),
  },
  { weight: 25, arbitrary: fc.constantFrom(...names.filter((name) => !rare.includes(name))) },
  { weight: 14, arbitrary: fc.constantFrom(...rare) },
)

/** How far a Migration is when the random part begins; a walk from the start seldom comes to the later stages. */
const stages = {
  fresh: [],
  preparing: ['destinationReady', 'peerBreaks', 'look'],
  dumping: ['destinationReady', 'look'],
  fenced: ['destinationReady', 'look', 'peerBreaks', 'seconds'],
  thawed: ['destinationReady', 'look', 'peerBreaks', 'seconds', 'thawedByOthers', 'peerIsBack'],
  dying: ['destinationReady', 'look', 'peerBreaks', 'seconds', 'dumpFails', 'peerIsBack'],
  unanswered: ['writeIsFine', 'writeIsLate', 'destinationReady', 'look', 'seconds'],
  overtaken: ['writeIsFine', 'writeIsOvertaken', 'destinationReady', 'look', 'seconds'],
  aborted: ['destinationReady', 'abort', 'look'],
  committed: ['destinationReady', 'look', 'seconds'],
  restored: ['destinationReady', 'look', 'seconds', 'startDestination', 'restored'],
  orphaned: ['destinationReady', 'look', 'seconds', 'startDestination', 'restored', 'runcKilled', 'look', 'seconds'],
} satisfies Record<string, readonly (EventName | 'look')[]>
const stageNames = Object.keys(stages) as (keyof typeof stages)[]

export interface History {
  stage: keyof typeof stages
  containers: readonly string[]
  steps: Step[]
}

export const history: fc.Arbitrary<History> = fc.record({
  stage: fc.constantFrom(...stageNames),
  containers: fc.oneof(
    { weight: 3, arbitrary: fc.constant<readonly string[]>(['c']) },
    fc.constant<readonly string[]>(['c', 'd']),
  ),
  steps: fc.array(step, { maxLength: 14 }),
})

/** Lives through one, and checks what must hold at the end of each. */
export async function live(
  { stage, containers, steps }: History,
  sabotage?: (deps: LiveSourceDependencies) => LiveSourceDependencies,
) {
  const world = new World(containers, sabotage)
  const versions: Migration[] = [world.migration]
  const all: Step[] = [
    ...stages[stage].map((name) => (name === 'look' ? { look: 0, killBefore: null } : name)),
    ...steps,
  ]
  for (const item of all) {
    if (typeof item === 'string') await events[item](world)
    else {
      if (item.killBefore !== null) world.crash(item.killBefore + 1)
      await world.look(versions.at(-1 - Math.min(item.look, versions.length - 1)))
    }
    if (versions.at(-1) !== world.migration) versions.push(world.migration)
  }
  await finish(world)

  const { node, journal, status, destination } = world
  assert.ok(node.clean, 'something is left on the node')
  assert.deepEqual([...journal], [])
  const succeeded = isTrue(status, 'Restored') && isTrue(status, 'Delivered')
  assert.equal(destination.pod === 'runs', succeeded, 'exactly one copy runs at the end')
  assert.equal(node.killed, succeeded)
  const whole = node.runs && [...node.boxes.values()].every(({ dead }) => !dead)
  if (!succeeded && !node.stateLost) assert.ok(whole, 'the source does not run on')
  return world
}
