import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFalse, isFinished, isTrue, truth } from '../api/conditions.ts'
import { type Bugs, Model } from './testing/model.ts'

const HISTORIES = 20_000

const names = (moves: object) => Object.keys(moves)
const FORWARD = names(new Model().moves).filter(
  (move) => !['refuseDump', 'reportRestoreFailed', 'lackImages'].includes(move),
)

/** Two controllers that look and act at different moments are where races live: they move more often than the rest. */
const CONTROLLERS = ['look0', 'act0', 'look1', 'act1']
const CHAOS = [
  ...names(new Model().moves),
  ...names(new Model().disturbances),
  ...CONTROLLERS,
  ...CONTROLLERS,
  'cancel',
]

/** Random moves alone seldom get as far as the commit: a history begins with some orderly rounds, then chaos. */
const histories = fc
  .record({
    orderly: fc.nat({ max: 5 * FORWARD.length }),
    chaos: fc.array(fc.constantFrom(...CHAOS), { maxLength: 60 }),
  })
  .map(({ orderly, chaos }) => [
    ...Array.from({ length: orderly }, (_, i) => FORWARD[i % FORWARD.length] ?? ''),
    ...chaos,
  ])

/** Invariants of design.md, section 2, as far as the controller decides about them. */
function check(model: Model, before: Model['status']): void {
  const { status } = model
  assert.ok(!(model.source === 'running' && model.destination === 'running'), 'two copies run')
  if (model.destination === 'running')
    assert.ok(isTrue(status, 'Committed') || !model.migration, 'destination runs without a commit')
  for (const register of ['Committed', 'Restored'] as const) {
    const was = truth(before, register)
    if (was !== 'Unknown' && model.migration)
      assert.equal(truth(status, register), was, `${register} changed after it was decided`)
  }
  if (isTrue(status, 'Succeeded'))
    assert.ok(model.destinationRan && isTrue(status, 'Restored'), 'success without state')
  if (isFinished(status)) {
    assert.notEqual(model.source, 'frozen', 'a frozen source is left behind')
    assert.ok(!model.imageThere, 'a checkpoint image is left behind')
    assert.ok(isTrue(status, 'Failed') !== isTrue(status, 'Succeeded'), 'Failed must mirror Succeeded')
    if (isFalse(status, 'Succeeded')) assert.ok(status?.failure?.reason, 'a failure without a reason')
  }
}

function play(history: string[], bugs: Bugs = {}): Model {
  const model = new Model(bugs)
  for (const move of history) {
    const before = model.status
    const make = model.moves[move] ?? model.disturbances[move]
    make?.()
    check(model, before)
  }
  return model
}

/** Everybody works undisturbed for long enough. */
function settle(model: Model): void {
  for (let round = 0; round < 60 && model.migration && !isFinished(model.status); round++) {
    for (const move of FORWARD) {
      const before = model.status
      model.moves[move]?.()
      check(model, before)
    }
  }
}

test('no history breaks an invariant, and every history comes to an end with one live copy', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const model = play(history)
      settle(model)
      assert.ok(!model.migration || isFinished(model.status), `never ends: ${JSON.stringify(model.status?.conditions)}`)
      if (model.userDeletedPod) return
      const live = [model.source, model.destination].filter((process) => process === 'running')
      assert.equal(live.length, 1, `live copies: source ${model.source}, destination ${model.destination}`)
    }),
    { numRuns: HISTORIES },
  )
})

test('an undisturbed migration succeeds', () => {
  const model = new Model()
  settle(model)
  assert.ok(isTrue(model.status, 'Succeeded'))
  assert.deepEqual([model.source, model.destination, model.sourcePod], ['dead', 'running', undefined])
})

const PLANTED: Record<string, Bugs> = {
  'a source thawed before the destination is proved gone': { thawEarly: true },
  'a status written without precondition': { noPrecondition: true },
  'a source thawed before it is killed': { thawWithoutKill: true },
}

for (const [sentence, bugs] of Object.entries(PLANTED)) {
  test(`the model finds ${sentence}`, () => {
    const result = fc.check(
      fc.property(histories, (history) => {
        settle(play(history, bugs))
      }),
      { numRuns: 50_000 },
    )
    assert.ok(result.failed, 'the planted bug was not found: the model is too tame')
  })
}
