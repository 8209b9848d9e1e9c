import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CONDITION_TYPES, type ConditionType, isFalse, isTrue, truth } from '../../api/conditions.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import { type DestinationAction, plan } from './plan.ts'
import * as report from './report.ts'

type Truths = Partial<Record<ConditionType, 'True' | 'False' | 'Unknown'>>
const NOW = '2026-01-01T00:00:00Z'

const aStatus = (truths: Truths, destination: Partial<MigrationStatus['destination']> = {}): MigrationStatus => ({
  destination: { node: 'node-2', ...destination },
  conditions: Object.entries(truths).map(([type, status]) => ({
    ...{ type, status, reason: 'R', message: '', lastTransitionTime: NOW },
  })),
})

const accepted: Truths = { Accepted: 'True' }
const ready: Truths = { ...accepted, DestinationReady: 'True' }
const committed: Truths = { ...ready, Checkpointed: 'True', Delivered: 'True', Committed: 'True' }

describe('destination plan', () => {
  const cases: [sentence: string, status: MigrationStatus | undefined, action: DestinationAction['do']][] = [
    ['waits for a new Migration to be accepted', undefined, 'wait'],
    ['leaves other nodes alone', aStatus(accepted, { node: 'node-3' }), 'wait'],
    ['gets ready', aStatus(accepted), 'prepare'],
    [
      'goes on getting ready while images are missing',
      aStatus({ ...accepted, DestinationReady: 'Unknown' }),
      'prepare',
    ],
    ['waits for the abort once it cannot', aStatus({ ...accepted, DestinationReady: 'False' }), 'wait'],
    ['waits for the checkpoint', aStatus(ready), 'wait'],
    ['looks for the images', aStatus({ ...ready, Checkpointed: 'True' }), 'checkDelivery'],
    ['waits for the commit', aStatus({ ...ready, Checkpointed: 'True', Delivered: 'True' }), 'wait'],
    ['watches the restore', aStatus(committed), 'observe'],
    ['settles', aStatus({ ...committed, Restored: 'True' }), 'settle'],
    ['removes', aStatus({ ...committed, Restored: 'False' }), 'remove'],
    ['cleans up after an abort', aStatus({ ...ready, Committed: 'False' }), 'cleanUp'],
    ['has nothing to do when clean', aStatus({ ...ready, Committed: 'False' }, { cleanedAt: NOW }), 'wait'],
    ['has nothing to do at the end', aStatus({ ...ready, Committed: 'False', Succeeded: 'False' }), 'wait'],
    ['does not touch what was refused', aStatus({ Accepted: 'False' }), 'wait'],
  ]
  for (const [sentence, status, action] of cases) {
    it(sentence, () => assert.equal(plan(status, 'node-2').do, action))
  }

  const status = fc
    .record(
      Object.fromEntries(
        CONDITION_TYPES.map((type) => [
          type,
          fc.constantFrom<'True' | 'False' | 'Unknown' | undefined>('True', 'False', 'Unknown', undefined),
        ]),
      ),
    )
    .map((truths) => aStatus(Object.fromEntries(Object.entries(truths).filter(([, value]) => value)) as Truths))

  it('never takes images away while the destination may need them', () => {
    fc.assert(
      fc.property(status, (any) => {
        const action = plan(any, 'node-2').do
        const mayRun = isTrue(any, 'Committed') && !isFalse(any, 'Restored')
        if (action === 'remove' || action === 'cleanUp') assert.equal(mayRun, false)
        if (action === 'settle') assert.ok(isTrue(any, 'Committed') && isTrue(any, 'Restored'))
      }),
    )
  })

  it('writes each register once, whatever it is asked to write and in which order', () => {
    const change = fc.constantFrom(
      report.restored(NOW, NOW),
      report.restoreFailed({ reason: 'R', message: '', criuLog: [] }, NOW),
      report.removed(NOW),
      report.cleaned(NOW),
      report.readiness({ status: 'True', reason: 'R', message: '', imagesMissing: [] }, NOW),
    )
    fc.assert(
      fc.property(status, fc.array(change), (first, changes) => {
        let now = first
        for (const apply of changes) {
          const next = apply(now)
          const before = truth(now, 'Restored')
          if (before !== 'Unknown' || !isTrue(now, 'Committed')) assert.equal(truth(next, 'Restored'), before)
          if (next.destination?.removedAt && !now.destination?.removedAt) assert.ok(isFalse(now, 'Restored'))
          assert.equal(truth(next, 'Committed'), truth(now, 'Committed'))
          if (truth(now, 'Committed') !== 'Unknown')
            assert.equal(truth(next, 'DestinationReady'), truth(now, 'DestinationReady'))
          now = next
        }
      }),
    )
  })
})
