import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOWS } from './blows.ts'
import { canHit } from './expectations.ts'
import { type Aim, createPlanner, nameOf } from './plan.ts'
import { STEPS } from './steps.ts'

const PAIRS = BLOWS.flatMap(({ name }) => STEPS.filter((step) => canHit(name, step))).length

/** @param hits whether a blow finds what it is aimed at */
function walk(seed: number, count: number, hits = (_: Aim) => true): Aim[] {
  const planner = createPlanner({ seed })
  return Array.from({ length: count }, () => {
    const aim = planner.next()
    assert.ok(aim)
    planner.landed(aim, hits(aim) ? [aim.step] : [])
    return aim
  })
}

test('every pair comes before any comes twice, and the first round fits into 200 runs', () => {
  assert.ok(PAIRS <= 200, `${PAIRS} pairs`)
  assert.equal(new Set(walk(1, PAIRS).map(nameOf)).size, PAIRS)
  assert.equal(new Set(walk(1, 2 * PAIRS).map(nameOf)).size, PAIRS)
})

test('a seed repeats its runs, another one has others', () => {
  const told = (seed: number) => walk(seed, 50).map((aim) => `${nameOf(aim)} ${aim.delayMs}`)
  assert.deepEqual(told(7), told(7))
  assert.notDeepEqual(told(7), told(8))
})

test('a pair that cannot be hit is tried three times, then told of', () => {
  const planner = createPlanner({ seed: 1, only: 'wrapper killed while copying' })
  for (let time = 0; time < 3; time++) {
    const aim = planner.next()
    assert.ok(aim)
    planner.landed(aim, [])
  }
  assert.equal(planner.next(), undefined)
  assert.deepEqual(planner.open(), ['wrapper killed while copying'])
})

test('a pair that was hit before and is missed from then on does not keep the others waiting', () => {
  const planner = createPlanner({ seed: 1, skip: PAIRS })
  const stubborn = planner.next()
  assert.ok(stubborn)
  const seen = new Set<string>()
  for (let time = 0; time < PAIRS + 3; time++) {
    const aim = planner.next()
    assert.ok(aim)
    seen.add(nameOf(aim))
    planner.landed(aim, nameOf(aim) === nameOf(stubborn) ? [] : [aim.step])
  }
  assert.equal(seen.size, PAIRS)
})

test('a blow that landed at another step counts there', () => {
  const planner = createPlanner({ seed: 1, only: 'criu killed at the source while' })
  const aim = planner.next()
  assert.ok(aim)
  const other = STEPS.find((step) => step !== aim.step && canHit(aim.blow.name, step))
  assert.ok(other)
  planner.landed(aim, [other])
  assert.ok(!planner.open().includes(nameOf({ ...aim, step: other })))
  assert.ok(planner.open().includes(nameOf(aim)))
})

test('later slices of a seed go on where earlier ones have ended', () => {
  const first = createPlanner({ seed: 3, skip: 5 }).next()
  const sixth = walk(3, 6)[5]
  assert.ok(first && sixth)
  assert.equal(nameOf(first), nameOf(sixth))
})
