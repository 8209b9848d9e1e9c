import assert from 'node:assert/strict'
import { it } from 'node:test'
import { getCondition, isConditionTrue, setCondition } from './conditions.ts'

const early = new Date('2026-01-01T00:00:00.123Z')
const late = new Date('2026-01-01T01:00:00Z')
const accepted = { type: 'Accepted', status: 'True', reason: 'Checked', observedGeneration: 1 } as const

it('moves lastTransitionTime only when the status changes', () => {
  const first = setCondition([], accepted, early)
  assert.equal(first[0]?.lastTransitionTime, '2026-01-01T00:00:00Z')
  const reworded = setCondition(first, { ...accepted, reason: 'CheckedAgain', message: 'twice' }, late)
  assert.equal(reworded[0]?.lastTransitionTime, '2026-01-01T00:00:00Z')
  assert.equal(reworded[0]?.message, 'twice')
  const refused = setCondition(reworded, { ...accepted, status: 'False' }, late)
  assert.equal(refused[0]?.lastTransitionTime, '2026-01-01T01:00:00Z')
})

it('gives back the same list when nothing changes and keeps the order of the others', () => {
  const first = setCondition(setCondition(undefined, accepted, early), { ...accepted, type: 'Committed' }, early)
  assert.equal(setCondition(first, accepted, late), first)
  const changed = setCondition(first, { ...accepted, status: 'Unknown' }, late)
  assert.deepEqual(
    changed.map(({ type }) => type),
    ['Accepted', 'Committed'],
  )
})

it('keeps the generation observed before when none is given', () => {
  const first = setCondition([], accepted, early)
  const { observedGeneration: _none, ...without } = accepted
  assert.equal(setCondition(first, { ...without, status: 'False' }, late)[0]?.observedGeneration, 1)
})

it('finds conditions', () => {
  const list = setCondition([], accepted, early)
  assert.equal(isConditionTrue(list, 'Accepted'), true)
  assert.equal(isConditionTrue(undefined, 'Accepted'), false)
  assert.equal(getCondition(list, 'Accepted')?.reason, 'Checked')
})
