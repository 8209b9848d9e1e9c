import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, condition, phaseOf, withCondition } from './conditions.ts'
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

/** Conditions of a Live migration after its commit, and the phase. */
const AFTER_COMMIT: [string, Partial<Record<ConditionType, 'True' | 'False' | 'Unknown'>>, string][] = [
  ['pages are still under way', { Restored: 'True' }, 'Streaming'],
  ['all is there', { Restored: 'True', Delivered: 'True' }, 'Finishing'],
  ['pages are lost', { Restored: 'True', Delivered: 'False' }, 'RollingBack'],
  ['pages are lost before the first instruction', { Delivered: 'False' }, 'RollingBack'],
  ['the destination was lost before it spoke', { Restored: 'Unknown' }, 'DestinationLost'],
  [
    'the destination was lost while pages were under way',
    { Restored: 'True', Delivered: 'Unknown' },
    'DestinationLost',
  ],
]
for (const [sentence, truths, phase] of AFTER_COMMIT) {
  test(`mode Live: ${sentence}: ${phase}`, () => {
    const committed: [string, string][] = [['Committed', 'True'], ...Object.entries(truths)]
    const status = committed.reduce<MigrationStatus>(
      (before, [type, status]) =>
        withCondition(
          before,
          { type: type as ConditionType, status: status as 'True', reason: 'DestinationLost', message: '' },
          NOW,
        ),
      { mode: 'Live' },
    )
    assert.equal(phaseOf(status), phase)
  })
}

test('in mode Live an image says nothing about pages', () => {
  const live: MigrationStatus = {
    ...checkpointed,
    mode: 'Live',
    containers: (checkpointed.containers ?? []).slice(0, 1),
  }
  assert.equal(withDelivery(live, { container: 'a', digest: 'd', via: 'RegistryEvent' }, NOW), live)
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
