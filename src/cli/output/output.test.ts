import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Migration } from '../../api/migration.ts'
import {
  at,
  committed,
  created,
  delivering,
  moved,
  pagesLost,
  refused,
  rolledBack,
  rollingBack,
  streaming,
} from '../testing/histories.ts'
import { describeMigration } from './description.ts'
import { endingOf } from './ending.ts'
import { migrationTable } from './migration-table.ts'
import { frame, observe } from './progress.ts'
import { stepsOf } from './steps.ts'
import { formatTransition, transitionsOf } from './transitions.ts'

const NOW = new Date(at(10_000))

test('list: the columns of kubectl get mig', () => {
  const all = [created(), delivering(), moved(), refused(), rolledBack()]
  assert.deepEqual(migrationTable(all, NOW, { namespaces: false, wide: false }), [
    'NAME            POD       FROM     TO       MODE    PHASE        DOWNTIME   AGE',
    'counter-x7k2p   counter   <none>   node-2   Auto    Pending      <none>     10s',
    'counter-x7k2p   counter   node-1   node-2   Image   Delivering   <none>     10s',
    'counter-x7k2p   counter   node-1   node-2   Image   Succeeded    5.05s      10s',
    'counter-x7k2p   counter   <none>   node-2   Auto    Failed       <none>     10s',
    'counter-x7k2p   counter   node-1   node-2   Image   RolledBack   <none>     10s',
  ])
})

test('list -A -o wide: namespace in front, reason before the age', () => {
  assert.deepEqual(migrationTable([rolledBack()], NOW, { namespaces: true, wide: true }), [
    'NAMESPACE   NAME            POD       FROM     TO       MODE    PHASE        DOWNTIME   REASON       AGE',
    'default     counter-x7k2p   counter   node-1   node-2   Image   RolledBack   <none>     DumpFailed   10s',
  ])
})

test('status of one that moved', () => {
  assert.deepEqual(describeMigration(moved(), NOW), [
    'Name:      counter-x7k2p',
    'Namespace: default',
    'Pod:       counter -> counter-5f2a1',
    'From:      node-1',
    'To:        node-2',
    'Mode:      Image',
    'Phase:     Succeeded',
    'Created:   2026-01-02T03:04:00.000Z (10s ago)',
    'Downtime:  5.05s',
    'Total:     7.60s',
    '',
    'STEP            STATE   TOOK     MESSAGE',
    'Accept          done    <none>   pod counter can move',
    'Prepare         done    0.40s    node node-2 can take it',
    'Checkpoint      done    1.00s    1 container checkpointed',
    'Deliver         done    3.00s    1 checkpoint image(s) in the registry of node node-2',
    'Commit          done    0.05s    from now on only node node-2 may run the pod',
    'Restore         done    2.00s    runs from the checkpoint',
    'Remove source   done    1.00s    pod counter is gone and node node-1 is clean',
    '',
    'CONTAINER   IMAGE       CHECKPOINT   DIGEST',
    'main        counter:1   3.0 MiB      sha256:bb',
  ])
})

test('status of one that was rolled back: the failed step, the way back, and CRIU in its own words', () => {
  assert.deepEqual(describeMigration(rolledBack(), NOW).slice(11), [
    'STEP            STATE     TOOK     MESSAGE',
    'Accept          done      <none>   pod counter can move',
    'Prepare         done      0.40s    node node-2 can take it',
    'Checkpoint      failed    1.00s    CRIU cannot dump container main',
    'Deliver         skipped   <none>   <none>',
    'Commit          skipped   <none>   <none>',
    'Restore         skipped   <none>   <none>',
    'Remove source   skipped   <none>   <none>',
    'Roll back       done      0.20s    pod counter runs on at node-1: DumpFailed: CRIU cannot dump container main',
    '',
    'Failure: DumpFailed: CRIU cannot dump container main',
    '  CRIU: Error (criu/files-ext.c:98): Can not dump file 3 of that type [20600] (chr 1:11 /dev/kmsg)',
  ])
})

test('status: a long message is told once, as the failure', () => {
  const words = `kubelet: ${'criu failed; '.repeat(20)}`
  const long = rolledBack()
  for (const condition of long.status?.conditions ?? []) condition.message = words
  if (long.status) long.status.failure = { reason: 'DumpFailed', message: words }
  const lines = describeMigration(long, NOW)
  assert.equal(lines.filter((line) => line.includes(words)).length, 1)
  assert.equal(
    lines.find((line) => line.startsWith('Checkpoint '))?.length,
    'Checkpoint      failed    1.00s    '.length + 100,
  )
})

const framesOf = (migration: Migration) =>
  frame(observe(undefined, migration, 1000), 2500).map(({ state, title, time, detail }) =>
    [state, title, time, detail].filter(Boolean).join(' | '),
  )

test('progress: before anybody has answered', () => {
  assert.equal(framesOf(created())[0], 'running | Accept | 1.50s')
  assert.equal(framesOf(created()).length, 7)
})

test('progress: the transfer tells bytes and rate', () => {
  assert.deepEqual(framesOf(delivering()), [
    'done | Accept | node-1 to node-2, mode Image',
    'done | Prepare | 0.40s',
    'done | Checkpoint | 1.00s',
    'running | Deliver | 1.50s | 1.0 MiB of 3.0 MiB, 683 KiB/s',
    'waiting | Commit',
    'waiting | Restore',
    'waiting | Remove source',
  ])
  const untold = delivering()
  delete untold.status?.transfer
  assert.equal(framesOf(untold)[3], 'running | Deliver | 1.50s | 3.0 MiB')
  assert.equal(framesOf(committed())[3], 'done | Deliver | 3.00s | 3.0 MiB, 1.0 MiB/s')
})

test('a wait for a controller is told, the fraction of a second before a step is not', () => {
  const waited = delivering()
  waited.metadata.creationTimestamp = at(-17_000)
  const accept = (migration: Migration) => stepsOf(migration)[0]?.tookMs
  assert.deepEqual([accept(delivering()), accept(waited)], [undefined, 17_100])
})

test('progress: a rollback shows what failed and leaves out what will not come', () => {
  assert.deepEqual(framesOf(rollingBack()), [
    'done | Accept | node-1 to node-2, mode Image',
    'done | Prepare | 0.40s',
    'failed | Checkpoint | 1.00s | CRIU cannot dump container main',
    'running | Roll back | 1.50s',
  ])
})

test('progress of mode Live: memory comes last, and how much of it', () => {
  assert.deepEqual(framesOf(streaming()), [
    'done | Accept | node-1 to node-2, mode Live',
    'done | Prepare | 0.40s',
    'done | Checkpoint | 1.00s',
    'done | Commit | 0.10s',
    'done | Restore | 0.30s',
    'running | Stream memory | 1.50s | 2.0 MiB to come',
    'waiting | Remove source',
  ])
  assert.deepEqual(framesOf(pagesLost()).slice(5), [
    'failed | Stream memory | 3.10s | the link was cut',
    'running | Roll back | 1.50s',
  ])
})

test('progress: the time of a step runs from when it was first seen', () => {
  const first = observe(undefined, delivering(), 1000)
  assert.equal(observe(first, delivering(), 5000).running?.sinceMs, 1000)
  assert.equal(observe(first, committed(), 5000).running?.sinceMs, 5000)
})

test('transitions: each condition once, in the order of the steps', () => {
  assert.deepEqual(transitionsOf(delivering(), moved()).map(formatTransition), [
    '2026-01-02T03:04:04.500Z counter-x7k2p Delivered=True RegistryEvent: 1 checkpoint image(s) in the registry of node node-2',
    '2026-01-02T03:04:04.550Z counter-x7k2p Committed=True CheckpointDelivered: from now on only node node-2 may run the pod',
    '2026-01-02T03:04:06.550Z counter-x7k2p Restored=True Running: runs from the checkpoint',
    '2026-01-02T03:04:07.550Z counter-x7k2p SourceRemoved=True SourcePodDeleted: pod counter is gone and node node-1 is clean',
    '2026-01-02T03:04:07.600Z counter-x7k2p Succeeded=True Moved: pod counter-5f2a1 runs on node-2; downtime 5.05s',
  ])
  assert.deepEqual(transitionsOf(moved(), moved()), [])
})

const NEXT = 'next: kubectl podferry status -n default counter-x7k2p'
const timedOut = (): Migration => {
  const migration = rolledBack()
  const failure = { reason: 'TimedOut', message: 'not ready to commit' }
  return { ...migration, status: { ...migration.status, failure, timings: { frozenAt: at(1), downtime: '0.31s' } } }
}
const ENDINGS: [sentence: string, migration: Migration, exitCode: number, lines: string[]][] = [
  [
    'moved: the downtime and how to look at the pod',
    moved(),
    0,
    [
      'pod default/counter moved from node-1 to node-2 as counter-5f2a1',
      'downtime 5.05s, 7.60s in all',
      'next: kubectl logs -n default counter-5f2a1',
    ],
  ],
  [
    'refused: the pod was not touched',
    refused(),
    3,
    [
      'error: default/counter-x7k2p did not move pod counter: SameNode: pod counter is on node-2 already; name another node',
      'source: pod default/counter was not touched',
      NEXT,
    ],
  ],
  [
    "rolled back: CRIU's lines, and the pod runs on",
    rolledBack(),
    3,
    [
      'error: default/counter-x7k2p did not move pod counter: DumpFailed: CRIU cannot dump container main',
      'CRIU: Error (criu/files-ext.c:98): Can not dump file 3 of that type [20600] (chr 1:11 /dev/kmsg)',
      'source: pod default/counter runs on at node-1',
      NEXT,
    ],
  ],
  [
    'timed out: a code of its own, and how long the pod stood still',
    timedOut(),
    4,
    [
      'error: default/counter-x7k2p did not move pod counter: TimedOut: not ready to commit',
      'source: pod default/counter runs on at node-1, thawed',
      'downtime 0.31s',
      NEXT,
    ],
  ],
]
for (const [sentence, migration, exitCode, lines] of ENDINGS) {
  test(`ending: ${sentence}`, () => assert.deepEqual(endingOf(migration, 'kubectl podferry'), { exitCode, lines }))
}
