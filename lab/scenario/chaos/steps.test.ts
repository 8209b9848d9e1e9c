import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, withCondition } from '../../../src/api/conditions.ts'
import type { MigrationStatus } from '../../../src/api/migration.ts'
import { hasReached, type Place, placeOf, stepsBetween } from './steps.ts'

const statusOf = (...conditions: (ConditionType | `not ${ConditionType}`)[]): MigrationStatus =>
  conditions.reduce<MigrationStatus>(
    (status, word) => {
      const [type, truth] = word.startsWith('not ') ? [word.slice(4), 'False'] : [word, 'True']
      const update = { type: type as ConditionType, status: truth as 'True' | 'False', reason: 'R', message: '' }
      return withCondition(status, update, '2026-01-01T00:00:00Z')
    },
    { mode: 'Live' } as MigrationStatus,
  )

const WAY: [Place, MigrationStatus][] = [
  ['before', statusOf()],
  ['opening', statusOf('Accepted')],
  ['copying', statusOf('Accepted', 'DestinationReady')],
  ['staging', statusOf('Accepted', 'DestinationReady', 'Checkpointed')],
  ['restoring', statusOf('Accepted', 'DestinationReady', 'Checkpointed', 'Committed')],
  ['paging', statusOf('Accepted', 'DestinationReady', 'Checkpointed', 'Committed', 'Restored')],
  ['removing', statusOf('Accepted', 'DestinationReady', 'Checkpointed', 'Committed', 'Restored', 'Delivered')],
  ['undoing', statusOf('Accepted', 'DestinationReady', 'not Checkpointed', 'not Committed')],
  ['undoing', statusOf('Accepted', 'DestinationReady', 'Checkpointed', 'Committed', 'not Delivered')],
  ['over', statusOf('Accepted', 'not Succeeded')],
]

for (const [place, status] of WAY) test(`the conditions tell ${place}`, () => assert.equal(placeOf(status), place))

test('a blow lands between what was read before and after it', () => {
  assert.deepEqual(stepsBetween('copying', 'copying'), ['copying'])
  assert.deepEqual(stepsBetween('copying', 'restoring'), ['copying', 'staging', 'restoring'])
  assert.deepEqual(stepsBetween('before', 'opening'), ['opening'])
  assert.deepEqual(stepsBetween('removing', 'over'), ['removing'])
  assert.deepEqual(stepsBetween('staging', 'undoing'), ['staging'])
  assert.deepEqual(stepsBetween('before', 'before'), [])
  assert.deepEqual(stepsBetween('undoing', 'over'), [])
  assert.deepEqual(stepsBetween('over', 'over'), [])
})

test('a step is reached by what comes after it too', () => {
  assert.ok(hasReached('staging', 'copying') && hasReached('copying', 'copying') && hasReached('over', 'copying'))
  assert.ok(!hasReached('opening', 'copying'))
})
