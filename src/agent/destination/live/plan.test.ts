import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ConditionType } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import { plan } from './plan.ts'

type Truths = Partial<Record<ConditionType, 'True' | 'False' | 'Unknown'>>

const aStatus = (truths: Truths, changes: Partial<MigrationStatus> = {}): MigrationStatus => ({
  mode: 'Live',
  destination: { node: 'node-2', podUID: 'u' },
  conditions: Object.entries({ Accepted: 'True' as const, ...truths }).map(([type, status]) => ({
    ...{ type, status, reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
  })),
  ...changes,
})
const ready: Truths = { DestinationReady: 'True' }
const committed: Truths = { ...ready, Checkpointed: 'True', Committed: 'True' }

describe('plan', () => {
  const cases: [sentence: string, status: MigrationStatus | undefined, action: string][] = [
    ['nothing is known', undefined, 'wait'],
    ['another node is the destination', aStatus({}, { destination: { node: 'node-1' } }), 'wait'],
    ['mode Image is for another handler', aStatus({}, { mode: 'Image' }), 'wait'],
    ['not accepted', aStatus({ Accepted: 'Unknown' }), 'wait'],
    ['no pod yet', aStatus({}, { destination: { node: 'node-2' } }), 'wait'],
    ['the pod is known', aStatus({}), 'open'],
    ['it waits for its checkpoint', aStatus(ready), 'wait'],
    ['it cannot be made', aStatus({ DestinationReady: 'False' }), 'wait'],
    ['the source is frozen, nothing is decided', aStatus({ ...ready, Checkpointed: 'True' }), 'wait'],
    [
      'aborted before the pod was known',
      aStatus({ Committed: 'False' }, { destination: { node: 'node-2' } }),
      'cleanUp',
    ],
    ['aborted', aStatus({ ...ready, Committed: 'False' }), 'cleanUp'],
    ['committed', aStatus(committed), 'release'],
    ['the source has lost the pages before the restore', aStatus({ ...committed, Delivered: 'False' }), 'remove'],
    ['not restored', aStatus({ ...committed, Restored: 'False' }), 'remove'],
    ['restored', aStatus({ ...committed, Restored: 'True' }), 'watchPages'],
    ['restored, then lost', aStatus({ ...committed, Restored: 'True', Delivered: 'False' }), 'remove'],
    ['all memory is there', aStatus({ ...committed, Restored: 'True', Delivered: 'True' }), 'settle'],
    [
      'clean already',
      aStatus({ ...committed, Restored: 'False' }, { destination: { node: 'node-2', podUID: 'u', cleanedAt: 'x' } }),
      'wait',
    ],
    ['finished', aStatus({ ...committed, Succeeded: 'False' }), 'wait'],
  ]
  for (const [sentence, status, action] of cases) {
    it(`${sentence}: ${action}`, () => assert.equal(plan(status, 'node-2').do, action))
  }
})
