import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTrue, phaseOf } from '../api/conditions.ts'
import { type Bugs, PLANTED } from './testing/live/bugs.ts'
import { search } from './testing/live/histories.ts'
import { createLiveModel, FORWARD } from './testing/live-model.ts'

/** The whole search is a component test: it takes its time. */
const HISTORIES = 15_000
/** Each planted bug is found within a few thousand. */
const PLANTED_HISTORIES = 20_000

test(`none of ${HISTORIES} histories breaks an invariant, and each comes to an end with one live copy`, () => {
  const failure = search(HISTORIES)
  assert.equal(failure && `${failure.error.message}\n${failure.moves.join(' ')}`, undefined)
})

test('an undisturbed live migration succeeds, phase by phase', () => {
  const { world, moves } = createLiveModel()
  const phases = new Set<string>()
  for (let round = 0; round < 10; round++) {
    for (const move of FORWARD) {
      moves[move]?.()
      phases.add(phaseOf(world.status))
    }
  }
  assert.deepEqual(
    [...phases],
    ['Pending', 'Preparing', 'Checkpointing', 'Delivering', 'Restoring', 'Streaming', 'Finishing', 'Succeeded'],
  )
  assert.ok(isTrue(world.status, 'Restored') && isTrue(world.status, 'Delivered'))
  assert.deepEqual([world.source.process, world.destination.arrivals[0]?.process], ['dead', 'running'])
})

for (const [bug, sentence] of Object.entries(PLANTED)) {
  test(`the model finds ${sentence}`, () => {
    const bugs: Bugs = { [bug]: true }
    assert.ok(search(PLANTED_HISTORIES, bugs), 'the planted bug was not found: the model is too tame')
  })
}
