/** A pod that nobody owns is recreated, through random histories: never two copies, and at the end one, with its state or that kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFinished, isTrue, truth } from '../api/conditions.ts'
import { type Bugs, RecreatedModel } from './testing/recreated-model.ts'

const HISTORIES = 10_000

const FORWARD = Object.keys(new RecreatedModel().moves)
const CONTROLLERS = ['look0', 'act0', 'look1', 'act1']
/** Two controllers that look and act at different moments are where races live. */
const CHAOS = [...FORWARD, ...CONTROLLERS, ...CONTROLLERS, 'cancel', ...Object.keys(new RecreatedModel().disturbances)]

/** One controller is held up between its look and what it does, while all others work on. */
const heldUp = fc
  .record({ controller: fc.constantFrom('0', '1'), from: fc.nat({ max: FORWARD.length }), length: fc.nat({ max: 40 }) })
  .map(({ controller, from, length }) => {
    const others = FORWARD.filter((move) => move !== `look${controller}` && move !== `act${controller}`)
    const meanwhile = Array.from({ length }, (_, i) => others[(from + i) % others.length] ?? '')
    return [`look${controller}`, ...meanwhile, `act${controller}`]
  })

const chaos = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...CHAOS).map((move) => [move]) },
      { weight: 1, arbitrary: heldUp },
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.flat())

/** Some orderly rounds, so that most histories get beyond the commit, then chaos. */
const histories = fc
  .record({
    orderly: fc.nat({ max: 10 * FORWARD.length }),
    broken: fc.subarray(['breakSource', 'breakDestination']),
    chaos,
  })
  .map(({ orderly, broken, chaos }) => [
    ...broken,
    ...Array.from({ length: orderly }, (_, i) => FORWARD[i % FORWARD.length] ?? ''),
    ...chaos,
  ])

function check(model: RecreatedModel, before: RecreatedModel['status']): void {
  const { status, running } = model
  if (!model.meddled) assert.ok(running.length <= 1, `two copies run: ${JSON.stringify(running)}`)
  const ofState = running.filter(({ from }) => from !== 'nothing')
  assert.ok(ofState.length <= 1, `two copies of the state run: ${JSON.stringify(running)}`)
  if (isTrue(status, 'Committed')) assert.notEqual(ofState[0]?.from, 'first', 'the source runs after the commit')
  if (truth(before, 'Committed') !== 'Unknown')
    assert.equal(truth(status, 'Committed'), truth(before, 'Committed'), 'Committed changed after it was decided')
  if (ofState.some(({ from }) => from === 'checkpoint'))
    assert.ok(isTrue(status, 'Committed'), 'the destination runs without a commit')
  if (!isFinished(status)) return
  assert.ok(!model.frozen, 'frozen processes are left behind')
  assert.equal(model.images.size, 0, 'a checkpoint image is left behind')
  if (isTrue(status, 'Succeeded'))
    assert.ok(
      model.meddled || (ofState[0]?.from === 'checkpoint' && ofState[0].node === 'node-2'),
      'success without state',
    )
}

function play(history: readonly string[], bugs: Bugs = {}): RecreatedModel {
  const model = new RecreatedModel(bugs)
  for (const move of history) {
    const make = model.moves[move] ?? model.disturbances[move]
    const before = model.status
    make?.()
    check(model, before)
  }
  return model
}

/** Everybody works undisturbed for long enough. */
function settle(model: RecreatedModel): void {
  for (let round = 0; round < 80 && !isFinished(model.status); round++) {
    for (const move of FORWARD) {
      const before = model.status
      model.moves[move]?.()
      check(model, before)
    }
  }
  // What the end has left to kubelet.
  model.moves.kubelet?.()
  assert.ok(isFinished(model.status), `never ends: ${JSON.stringify(model.status)}`)
}

/** @returns how it ended */
function run(history: readonly string[], bugs?: Bugs): 'moved' | 'at the source' | 'came back' | 'afresh' | 'meddled' {
  const model = play(history, bugs)
  settle(model)
  if (model.meddled) return 'meddled'
  const [program, ...others] = model.running
  assert.equal(others.length, 0)
  assert.ok(program, 'no copy is left')
  if (program.from !== 'nothing') {
    if (program.from === 'first') return 'at the source'
    return program.node === 'node-1' ? 'came back' : 'moved'
  }
  assert.ok(model.archive && model.status?.source?.kept?.length === 1, 'the state is thrown away')
  return 'afresh'
}

test('no history breaks an invariant, and every history comes to an end with one live copy', () => {
  const ends = new Set<string>()
  fc.assert(
    fc.property(histories, (history) => void ends.add(run(history))),
    { numRuns: HISTORIES },
  )
  // A walk that never reaches an end proves nothing about it.
  assert.deepEqual([...ends].sort(), ['afresh', 'at the source', 'came back', 'meddled', 'moved'])
})

test('an undisturbed migration succeeds', () => assert.equal(run([]), 'moved'))
test('a destination that restores nothing: it comes back', () => assert.equal(run(['breakDestination']), 'came back'))
test('no node restores anything: afresh', () => assert.equal(run(['breakSource', 'breakDestination']), 'afresh'))

const PLANTED: Record<string, Bugs> = {
  'processes that run on when their pod is deleted': { thawWhenLeaving: true },
  'an image that can be started after it was said to be gone': { imageStays: true },
  'a status written without precondition': { noPrecondition: true },
  'an archive that is thrown away at the commit': { archiveGoes: true },
}

for (const [sentence, bugs] of Object.entries(PLANTED)) {
  test(`the model finds ${sentence}`, () => {
    const result = fc.check(
      fc.property(histories, (history) => void run(history, bugs)),
      { numRuns: 20_000, endOnFailure: true },
    )
    assert.ok(result.failed, 'the planted bug was not found: the model is too tame')
  })
}
