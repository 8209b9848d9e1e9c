import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, withCondition } from '../../api/conditions.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import { plan, type SourceView } from './plan.ts'

const AT = '2026-01-01T00:00:00Z'
const settled = (
  status: MigrationStatus,
  truth: 'True' | 'False' | 'Unknown',
  reason: string,
  ...types: ConditionType[]
) => types.reduce((next, type) => withCondition(next, { type, status: truth, reason, message: '' }, AT), status)

const committed = settled(
  {
    mode: 'Image',
    source: {
      node: 'a',
      podUID: 'u',
      recreated: true,
      owner: { kind: 'StatefulSet', name: 'web', uid: 's', hash: 'web-7' },
    },
    destination: { node: 'b', podName: 'web-0' },
  },
  'True',
  'Test',
  ...(['Accepted', 'DestinationReady', 'Checkpointed', 'Delivered', 'Committed'] as const),
)
const emptied: MigrationStatus = {
  ...committed,
  source: { node: 'a', podUID: 'u', ...committed.source, emptiedAt: AT },
}
const failed = (reason = 'RestoreFailed'): MigrationStatus => settled(emptied, 'False', reason, 'Restored')
const removed = (status: MigrationStatus, node: string): MigrationStatus => ({
  ...status,
  destination: { node, podName: 'web-0', removedAt: AT },
})
const sentBack = settled(
  { ...emptied, destination: { node: 'a', podName: 'web-0' } },
  'Unknown',
  'SentBack',
  'Delivered',
  'Restored',
)

const FENCED = { step: 'fenced' } as const
const EMPTIED = { step: 'emptied' } as const

/** A sentence, the status, the pod, the journal, what is done. */
const TABLE: [string, MigrationStatus, SourceView['pod'], SourceView['entry'], string][] = [
  ['what is committed stays frozen while its pod is there', committed, 'present', FENCED, 'wait'],
  ['it ends when the pod is on its way out', committed, 'leaving', FENCED, 'empty'],
  ['it ends when the pod is gone', committed, 'gone', FENCED, 'empty'],
  ['it ends without a journal too', committed, 'leaving', undefined, 'empty'],
  ['the end is told after a crash', committed, 'gone', EMPTIED, 'reportEmptied'],
  ['the archive stays until it runs', emptied, 'gone', EMPTIED, 'wait'],
  ['the archive goes when it runs', settled(emptied, 'True', 'Test', 'Restored'), 'gone', EMPTIED, 'release kill'],
  ['the archive stays when the restore fails', removed(failed(), 'b'), 'gone', EMPTIED, 'wait'],
  ['it is delivered here when it is sent back', sentBack, 'gone', EMPTIED, 'deliver'],
  ['nothing can be delivered without a journal', sentBack, 'gone', undefined, 'reportNoReturn'],
  ['the archive is kept when that fails too', removed(failed(), 'a'), 'gone', EMPTIED, 'release keep'],
  ['but not before nothing can run', { ...failed(), destination: { node: 'a' } }, 'gone', EMPTIED, 'wait'],
  ['it goes when nobody wants it', removed(failed('OwnerGone'), 'b'), 'gone', EMPTIED, 'release kill'],
  ['an abort thaws', settled(committed, 'False', 'Test', 'Committed'), 'present', FENCED, 'release thaw'],
]
for (const [sentence, status, pod, entry, expected] of TABLE) {
  test(`of a StatefulSet, ${sentence}`, () => {
    const action = plan({ status, pod, entry, task: undefined, frozen: true })
    assert.equal('by' in action ? `${action.do} ${action.by}` : action.do, expected)
  })
}
