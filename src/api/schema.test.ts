import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, phaseOf, withCondition } from './conditions.ts'
import { migrationCrd } from './crd.ts'
import { withDelivery } from './delivery.ts'
import type { MigrationStatus } from './migration.ts'
import { structuralProblems } from './structural.ts'
import { elapsedMs, formatDuration } from './timestamps.ts'

const LATER = '2026-01-01T00:00:05Z'
const NOW = '2026-01-01T00:00:00Z'

test('the CRD is structural', () => {
  const schema = migrationCrd().spec.versions[0]?.schema.openAPIV3Schema
  assert.deepEqual(structuralProblems(schema ?? {}), [])
})

test('a schema that is not structural is found out', () => {
  const problems = structuralProblems({
    type: 'object',
    properties: { a: { oneOf: [] }, b: { type: 'string', pattern: '(?!x)' } },
  })
  assert.deepEqual(problems, ['.a: oneOf is not allowed', '.a: type is missing', '.b: RE2 has no (?!'])
})

test('the time of a condition moves only with its truth', () => {
  const update = { type: 'Accepted', status: 'True', reason: 'A', message: '' } as const
  const first = withCondition({}, update, NOW)
  const second = withCondition(first, { ...update, reason: 'B' }, LATER)
  assert.equal(condition(second, 'Accepted')?.lastTransitionTime, NOW)
  assert.equal(condition(second, 'Accepted')?.reason, 'B')
  const third = withCondition(second, { ...update, status: 'False' }, LATER)
  assert.equal(condition(third, 'Accepted')?.lastTransitionTime, LATER)
})

test('the phase follows the conditions', () => {
  let status: MigrationStatus = {}
  const phases = [phaseOf(status)]
  for (const type of [
    'Accepted',
    'DestinationReady',
    'Checkpointed',
    'Delivered',
    'Committed',
    'Restored',
    'Succeeded',
  ] as const) {
    status = withCondition(status, { type, status: 'True', reason: 'R', message: '' }, NOW)
    phases.push(phaseOf(status))
  }
  assert.deepEqual(phases, [
    'Pending',
    'Preparing',
    'Checkpointing',
    'Delivering',
    'Committing',
    'Restoring',
    'Finishing',
    'Succeeded',
  ])
})

const checkpointed = withCondition(
  { destination: { node: 'node-2' }, containers: ['a', 'b'].map((name) => ({ name, image: 'i', imageID: 'i@d' })) },
  { type: 'Checkpointed', status: 'True', reason: 'R', message: '' },
  NOW,
)

test('delivery is complete when every container has arrived, in any order and however often told', () => {
  const arrive = (status: MigrationStatus, container: string) =>
    withDelivery(status, { container, digest: 'd', via: 'RegistryEvent' }, NOW)
  const one = arrive(checkpointed, 'b')
  assert.equal(condition(one, 'Delivered'), undefined)
  assert.equal(arrive(one, 'b'), one)
  const both = arrive(one, 'a')
  assert.equal(condition(both, 'Delivered')?.status, 'True')
  assert.equal(arrive(both, 'a'), both)
})

test('an image of a container that nobody asked for says nothing', () => {
  assert.equal(withDelivery(checkpointed, { container: 'x', digest: 'd', via: 'KafkaRecord' }, NOW), checkpointed)
})

test('durations read well', () => {
  assert.deepEqual([520, 12_340, 184_000].map(formatDuration), ['0.52s', '12.3s', '3m04s'])
  assert.equal(elapsedMs(LATER, NOW), 0)
})
