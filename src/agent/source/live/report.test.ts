import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, withCondition } from '../../../api/conditions.ts'
import { type MigrationStatus, statusSchema } from '../../../api/migration.ts'
import type { LiveEntry } from './entry.ts'
import * as report from './report.ts'

const NOW = '2026-01-01T00:00:00.000Z'
const entry: LiveEntry = {
  ...{
    uid: 'u',
    namespace: 'ns',
    name: 'm',
    pod: { name: 'p', uid: 'p' },
    step: 'fenced',
    startedAt: NOW,
    frozenAt: NOW,
  },
  containers: [{ name: 'c', id: '1', pid: 1 }],
  cgroup: { version: 1, path: '/p', memoryPath: '/p' },
  ...{ precopyMs: 5, dumpMs: 200, fenceMs: 4, filesystemBytes: 10, memoryBytes: 99 },
}
const given = (
  truths: Partial<
    Record<'DestinationReady' | 'Checkpointed' | 'Committed' | 'Restored' | 'Delivered', 'True' | 'False'>
  >,
) =>
  Object.entries(truths).reduce<MigrationStatus>(
    (status, [type, truth]) =>
      withCondition(status, { type: type as 'Committed', status: truth, reason: 'Test', message: '' }, NOW),
    { mode: 'Live', source: { node: 's', podUID: 'p' } },
  )
const fenced = { DestinationReady: 'True', Checkpointed: 'True' } as const
const committed = { ...fenced, Committed: 'True' } as const

test('a fenced pod is reported with its times, and what is reported fits the schema', () => {
  const status = report.checkpointed(entry, NOW)(given({ DestinationReady: 'True' }))
  assert.deepEqual(status.timings, { frozenAt: NOW, steps: { precopyMs: 5, dumpMs: 200, fenceMs: 4 } })
  const after = report.committed(entry, { stageMs: 30, filesystemBytes: 12 }, NOW)(status)
  assert.deepEqual(after.transfer, { filesystemBytes: 12, memoryBytes: 99 })
  assert.equal(after.timings?.committedAt, NOW)
  assert.deepEqual(after.timings?.steps, { precopyMs: 5, dumpMs: 200, fenceMs: 4, stageMs: 30 })
  statusSchema.parse(after)
  statusSchema.parse(report.cleaned(3, NOW)(after))
})

test('a step that nobody has measured is left out', () => {
  const { precopyMs, memoryBytes, ...known } = entry
  const status = report.checkpointed(known, NOW)(given({ DestinationReady: 'True' }))
  assert.deepEqual(status.timings?.steps, { dumpMs: 200, fenceMs: 4 })
  assert.deepEqual(report.committed(known, { stageMs: 1, filesystemBytes: 0 }, NOW)(status).transfer, {
    filesystemBytes: 0,
  })
})

test('only an undecided, fenced Migration with a ready destination can be committed', () => {
  assert.equal(report.isCommittable(given(fenced)), true)
  for (const truths of [
    { DestinationReady: 'True' },
    { Checkpointed: 'True' },
    { ...fenced, Checkpointed: 'False' },
    { ...fenced, Committed: 'False' },
    { ...fenced, Committed: 'True' },
    { ...fenced, Delivered: 'False' },
    { ...fenced, Restored: 'False' },
  ] as const)
    assert.equal(report.isCommittable(given(truths)), false, JSON.stringify(truths))
})

test('nothing is said of the dump once the Migration is decided', () => {
  for (const decided of [given(committed), given({ ...fenced, Committed: 'False' })]) {
    assert.equal(report.checkpointed(entry, NOW)(decided), decided)
    assert.equal(report.lost('dump', NOW)(decided), decided)
  }
})

test('lost pages are written only where nothing has been said of them', () => {
  const lost = report.pagesLost(NOW)(given(committed))
  assert.equal(condition(lost, 'Delivered')?.status, 'False')
  assert.equal(lost.failure?.reason, 'PagesLost')
  for (const settled of [
    given(fenced),
    given({ ...committed, Delivered: 'True' }),
    given({ ...committed, Restored: 'False' }),
  ])
    assert.equal(report.pagesLost(NOW)(settled), settled)
})

test('the first failure stays', () => {
  const failure = { reason: 'First', message: 'first' }
  assert.deepEqual(report.lost('fence', NOW)({ ...given(fenced), failure }).failure, failure)
  assert.equal(condition(report.lost('fence', NOW)(given(fenced)), 'Checkpointed')?.reason, 'FenceLost')
})
