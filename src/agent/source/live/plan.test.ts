import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConditionType } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import { type LiveAction, type LiveView, plan } from './plan.ts'

type Conditions = Partial<Record<ConditionType, 'True' | 'False' | 'Unknown'>>

const status = (given: Conditions, more: Partial<MigrationStatus> = {}): MigrationStatus => ({
  mode: 'Live',
  source: { node: 'source', podUID: 'p' },
  destination: { node: 'destination' },
  conditions: Object.entries(given).map(([type, truth]) => ({
    ...{ type, status: truth, reason: 'Test', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
  })),
  ...more,
})

const removed = { destination: { node: 'destination', removedAt: '2026-01-01T00:00:00Z' } }
const cleaned = { source: { node: 'source', podUID: 'p', cleanedAt: '2026-01-01T00:00:00Z' } }
const fenced: LiveView['entry'] = { step: 'fenced' }
const ready: Conditions = { Accepted: 'True', DestinationReady: 'True' }
const open: Conditions = { ...ready, Checkpointed: 'True' }
const committed: Conditions = { ...open, Committed: 'True' }
const aborted: Conditions = { ...ready, Committed: 'False' }
const restored: Conditions = { ...committed, Restored: 'True' }

interface Row {
  given: Conditions
  more?: Partial<MigrationStatus>
  view?: Partial<LiveView>
  wants: LiveAction
}

const wait: LiveAction = { do: 'wait' }
const thaw: LiveAction = { do: 'release', by: 'thaw' }
const kill: LiveAction = { do: 'release', by: 'kill' }

const table: Record<string, Row> = {
  'nothing is begun before the destination is ready': { given: { Accepted: 'True' }, wants: wait },
  'a ready destination begins the move': { given: ready, wants: { do: 'begin' } },
  'what runs is not begun twice': { given: ready, view: { task: 'dump', entry: { step: 'preparing' } }, wants: wait },
  'an abort stops what runs': {
    given: aborted,
    view: { task: 'dump', entry: { step: 'dumping' } },
    wants: { do: 'withdraw' },
  },
  'files half copied by an earlier process are unwound': {
    given: ready,
    view: { entry: { step: 'preparing' } },
    wants: { do: 'unwind' },
  },
  'a dump of an earlier process is unwound, even when all is decided': {
    given: aborted,
    view: { entry: { step: 'dumping' } },
    wants: { do: 'unwind' },
  },
  'a failure is told once it is unwound': {
    given: ready,
    view: { entry: { step: 'failed' } },
    wants: { do: 'reportFailed' },
  },
  'a failure that was told waits for the controller': {
    given: { ...ready, Checkpointed: 'False' },
    view: { entry: { step: 'failed' } },
    wants: wait,
  },
  'a fenced pod is delivered': { given: ready, view: { entry: fenced, frozen: true }, wants: { do: 'deliver' } },
  'after a restart everything is delivered again': {
    given: open,
    view: { entry: fenced, frozen: true },
    wants: { do: 'deliver' },
  },
  'one delivery at a time': { given: open, view: { entry: fenced, frozen: true, task: 'deliver' }, wants: wait },
  'a pod that is not frozen any more is reported, whatever is on its way': {
    given: open,
    view: { entry: fenced, task: 'deliver' },
    wants: { do: 'reportLost', what: 'fence' },
  },
  'a dump that has died before the commit is reported': {
    given: open,
    view: { entry: fenced, frozen: true, pages: 'lost', task: 'deliver' },
    wants: { do: 'reportLost', what: 'dump' },
  },
  'a dump that has ended well before the commit has killed the source': {
    given: open,
    view: { entry: fenced, frozen: true, pages: 'done' },
    wants: { do: 'reportLost', what: 'dump' },
  },
  'a lost journal is reported': { given: open, wants: { do: 'reportLost', what: 'journal' } },
  'a reported loss waits for the controller': {
    given: { ...open, Checkpointed: 'False' },
    view: { entry: fenced },
    wants: wait,
  },
  'an abort thaws': { given: aborted, view: { entry: fenced }, wants: thaw },
  'an abort during the delivery thaws': { given: aborted, view: { entry: fenced, task: 'deliver' }, wants: thaw },
  'an abort without anything begun is answered as well': { given: aborted, wants: thaw },
  'after the commit the pod stays frozen': { given: committed, view: { entry: fenced }, wants: wait },
  'a failed restore does not thaw by itself': {
    given: { ...committed, Restored: 'False' },
    view: { entry: fenced },
    wants: wait,
  },
  'a failed restore thaws when the destination is removed': {
    given: { ...committed, Restored: 'False' },
    more: removed,
    view: { entry: fenced },
    wants: thaw,
  },
  'lost pages do not thaw by themselves': {
    given: { ...restored, Delivered: 'False' },
    view: { entry: fenced },
    wants: wait,
  },
  'lost pages thaw when the destination is removed': {
    given: { ...restored, Delivered: 'False' },
    more: removed,
    view: { entry: fenced },
    wants: thaw,
  },
  'lost pages thaw even a pod that is being deleted: nothing else has its state': {
    given: { ...restored, Delivered: 'False' },
    more: removed,
    view: { entry: fenced, pod: 'leaving' },
    wants: thaw,
  },
  'a removed destination without a decision means nothing': {
    given: open,
    more: removed,
    view: { entry: fenced, frozen: true, task: 'deliver' },
    wants: wait,
  },
  'pages that are pending keep the source, though its pod is being deleted': {
    given: restored,
    view: { entry: fenced, pod: 'leaving' },
    wants: wait,
  },
  'a whole destination does not touch a pod that nobody has deleted': {
    given: { ...restored, Delivered: 'True' },
    view: { entry: fenced },
    wants: wait,
  },
  'a whole destination and a deleted pod: killed': {
    given: { ...restored, Delivered: 'True' },
    view: { entry: fenced, pod: 'leaving' },
    wants: kill,
  },
  'a whole destination and a pod that is gone: killed': {
    given: { ...restored, Delivered: 'True' },
    view: { entry: fenced, pod: 'gone' },
    wants: kill,
  },
  'all pages, but not seen running: nothing': {
    given: { ...committed, Delivered: 'True' },
    view: { entry: fenced, pod: 'gone' },
    wants: wait,
  },
  'pages that look lost for a moment are waited for': {
    given: restored,
    view: { entry: fenced, pages: 'lost', lostForMs: 2_999 },
    wants: wait,
  },
  'pages that stay lost are reported': {
    given: restored,
    view: { entry: fenced, pages: 'lost', lostForMs: 3_000 },
    wants: { do: 'reportPagesLost' },
  },
  'pages lost before the restore are reported too': {
    given: committed,
    view: { entry: fenced, pages: 'lost', lostForMs: 3_000 },
    wants: { do: 'reportPagesLost' },
  },
  'a dump that has ended well after the commit: the destination says the rest': {
    given: restored,
    view: { entry: fenced, pages: 'done', lostForMs: 3_000 },
    wants: wait,
  },
  'pages are not lost that are there': {
    given: { ...restored, Delivered: 'True' },
    view: { entry: fenced, pages: 'lost', lostForMs: 3_000 },
    wants: wait,
  },
  'nothing is left to do for a clean node': { given: aborted, more: cleaned, wants: wait },
  'what a stale look has begun after the end is released again': {
    given: aborted,
    more: cleaned,
    view: { entry: { step: 'failed' } },
    wants: thaw,
  },
}

for (const [sentence, { given, more, view, wants }] of Object.entries(table)) {
  test(sentence, () => {
    const usual: Omit<LiveView, 'status'> = {
      ...{ entry: undefined, task: undefined, pod: 'present', frozen: false, pages: 'served', lostForMs: 0 },
    }
    assert.deepEqual(plan({ ...usual, ...view, status: status(given, more) }), wants)
  })
}
