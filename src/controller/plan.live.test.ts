import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, condition, withCondition } from '../api/conditions.ts'
import type { Migration, MigrationStatus } from '../api/migration.ts'
import { LIVE_LABEL, RECOVER_ANNOTATION } from '../api/names.ts'
import type { Node, Pod } from '../api/pod.ts'
import { plan } from './plan.ts'
import { waitingPod } from './pods.ts'
import type { Snapshot } from './snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot, POD_UID, START } from './testing/builders.ts'

const NOW = new Date('2026-01-01T00:00:40Z')
const set = (
  status: MigrationStatus,
  type: ConditionType,
  truth: 'True' | 'False' | 'Unknown',
  reason = 'Test',
  message = 'test',
) => withCondition(status, { type, status: truth, reason, message }, START)

const able = (name: string, changes: Partial<Pick<Node, 'spec' | 'status'>> = {}) =>
  aNode(name, changes, { [LIVE_LABEL]: 'true' })
const NODES = [able('node-1'), able('node-2')]
const SILENT = [
  able('node-1'),
  able('node-2', { status: { conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime: START }] } }),
]

const accepted: MigrationStatus = set(
  {
    mode: 'Live',
    source: { node: 'node-1', podUID: POD_UID },
    destination: { node: 'node-2', podName: 'counter-5f2a1' },
    timings: { acceptedAt: START },
  },
  'Accepted',
  'True',
)
const opened: MigrationStatus = {
  ...accepted,
  destination: { node: 'node-2', podName: 'counter-5f2a1', podUID: 'there' },
}
const staged = ['DestinationReady', 'Checkpointed'].reduce(
  (status, type) => set(status, type as 'Accepted', 'True'),
  opened,
)
const committed = set(staged, 'Committed', 'True')
const restored = set(committed, 'Restored', 'True')

const waiting = (changes: Partial<Pod> = {}): Pod => {
  const { metadata, spec } = waitingPod(aMigration({}, accepted), aPod())
  return { ...aPod(spec, { ...metadata, uid: 'there' }), status: { phase: 'Pending' }, ...changes }
}
const at = (status: MigrationStatus, changes: Partial<Snapshot> = {}) =>
  aSnapshot({ migration: aMigration({}, status), nodes: NODES, destinationPod: waiting(), ...changes })
const commandOf = (snapshot: Snapshot) => plan(snapshot, NOW).commands?.[0]
const written = (snapshot: Snapshot, type: ConditionType) => {
  const found = condition(plan(snapshot, NOW).status, type)
  return found && `${found.status} ${found.reason}`
}

test('the mode and the name of the destination pod are fixed at Accepted', () => {
  const status = plan(aSnapshot({ nodes: NODES }), NOW).status
  assert.equal(status?.mode, 'Live')
  assert.deepEqual(status.destination, { node: 'node-2', podName: 'counter-5f2a1' })
})

test('the destination pod is made at once, its UID recorded, and never made again', () => {
  assert.equal(commandOf(at(accepted, { destinationPod: undefined }))?.do, 'createPod')
  assert.equal(plan(at(accepted), NOW).status?.destination?.podUID, 'there')
  assert.deepEqual(plan(at(opened), NOW).commands, undefined)
  assert.equal(written(at(opened, { destinationPod: undefined }), 'Committed'), 'False DestinationPodDeleted')
})

test('the pull pod that has picked the node goes before the destination pod comes', () => {
  const pull = aPod({}, { name: 'podferry-pull-x', uid: 'pull' })
  const command = commandOf(at(accepted, { destinationPod: undefined, pullPod: pull }))
  assert.deepEqual([command?.do, command?.do === 'deletePod' && command.role], ['deletePod', 'pull'])
})

test('nobody but the source agent commits', () => {
  assert.equal(plan(at(set(staged, 'Delivered', 'True')), NOW).status, undefined)
})

const pulling = { name: 'main', image: 'i', imageID: '', restartCount: 0, ready: false }
const UNFIT: [string, Pod, string][] = [
  [
    'is being deleted',
    waiting({ metadata: { ...waiting().metadata, deletionTimestamp: START } }),
    'DestinationPodDeleted',
  ],
  ['was replaced', waiting({ metadata: { ...waiting().metadata, uid: 'late' } }), 'DestinationPodDeleted'],
  ['has failed', waiting({ status: { phase: 'Failed', reason: 'OutOfcpu' } }), 'PodFailed'],
  [
    'can not pull its image',
    waiting({
      status: { phase: 'Pending', containerStatuses: [{ ...pulling, state: { waiting: { reason: 'ErrImagePull' } } }] },
    }),
    'ImagePullFailed',
  ],
]
for (const [sentence, destinationPod, reason] of UNFIT) {
  test(`a destination pod that ${sentence} ends the move before the commit`, () => {
    assert.equal(written(at(opened, { destinationPod }), 'Committed'), `False ${reason}`)
  })
}

test('a foreign pod under the name ends the move', () => {
  assert.equal(
    written(at(accepted, { destinationPod: aPod({}, { name: 'counter-5f2a1' }) }), 'Committed'),
    'False NameTaken',
  )
})

test('a destination pod deleted between commit and restore: Restored=False', () => {
  assert.equal(written(at(committed, { destinationPod: undefined }), 'Restored'), 'False DestinationPodDeleted')
})

test('the source goes only with Restored and Delivered', () => {
  assert.equal(commandOf(at(restored)), undefined)
  const command = commandOf(at(set(restored, 'Delivered', 'True')))
  assert.deepEqual(command, { do: 'deletePod', role: 'source', name: 'counter', uid: POD_UID, graceSeconds: 1 })
})

test('pages that are lost take the destination pod away, then the end says what is undone', () => {
  const lost = { ...set(restored, 'Delivered', 'False', 'PagesLost'), failure: { reason: 'PagesLost', message: 'cut' } }
  const command = commandOf(at(lost))
  assert.deepEqual([command?.do, command?.do === 'deletePod' && command.role], ['deletePod', 'destination'])
  const clean: MigrationStatus = {
    ...lost,
    source: { node: 'node-1', podUID: POD_UID, cleanedAt: START },
    destination: { node: 'node-2', removedAt: START, cleanedAt: START },
  }
  const end = condition(plan(at(clean, { destinationPod: undefined }), NOW).status, 'Succeeded')
  assert.match(end?.message ?? '', /runs on at node-1 as it was at the commit; what it did since is undone: PagesLost/)
})

test('durations of agents and controller stand side by side', () => {
  const clean: MigrationStatus = {
    ...set(set(restored, 'Delivered', 'True'), 'SourceRemoved', 'True'),
    destination: { node: 'node-2', cleanedAt: START },
    timings: { ...restored.timings, restoredAt: '2025-12-31T23:59:59Z', steps: { dumpMs: 7, commitMs: 3 } },
  }
  const { steps } = plan(at(clean, { sourcePod: undefined }), NOW).status?.timings ?? {}
  assert.deepEqual(steps, { dumpMs: 7, commitMs: 3, prepareMs: 0, pagesMs: 1000, removeSourceMs: 0 })
})

test('an outage is told in the register that is open, and its end too', () => {
  const away = at(restored, { nodes: SILENT })
  assert.equal(written(away, 'Delivered'), 'Unknown DestinationLost')
  const lost = plan(away, NOW).status ?? {}
  assert.deepEqual(plan(at(lost, { nodes: SILENT }), NOW), { requeueAfterMs: 5000 })
  assert.equal(written(at(lost), 'Delivered'), 'Unknown DestinationBack')
})

/** With the annotation on it. */
const asked = (status: MigrationStatus, changes: Partial<Snapshot> = {}): Snapshot => {
  const migration: Migration = aMigration({}, status)
  migration.metadata.annotations = { [RECOVER_ANNOTATION]: 'resume-source' }
  return { ...at(status, changes), migration }
}
const lostAt = (status: MigrationStatus): MigrationStatus => plan(at(status, { nodes: SILENT }), NOW).status ?? {}

for (const [mode, before, type] of [
  ['Live', committed, 'Restored'],
  ['Live', restored, 'Delivered'],
  ['Image', { ...committed, mode: 'Image' }, 'Restored'],
] as const) {
  test(`a person's word ends an outage in mode ${mode} by ${type}=False; the pod goes by force before the source may thaw`, () => {
    const decided = plan(asked(lostAt(before), { nodes: SILENT }), NOW).status ?? {}
    assert.equal(condition(decided, type)?.reason, 'RecoveredByPerson')
    assert.equal(decided.destination?.removedAt, undefined)
    assert.deepEqual(commandOf(asked(decided, { nodes: SILENT })), { do: 'dropRecovery' })
    const terminating = waiting({ metadata: { ...waiting().metadata, deletionTimestamp: START } })
    const command = commandOf(at(decided, { nodes: SILENT, destinationPod: terminating }))
    assert.deepEqual(command?.do === 'deletePod' && [command.uid, command.graceSeconds], ['there', 0])
    const proved = plan(at(decided, { nodes: SILENT, destinationPod: undefined }), NOW).status?.destination
    assert.ok(proved?.removedAt && proved.cleanedAt)
  })
}

test('a node that goes silent before it has proved anything is told of too, and a person may speak', () => {
  const rolling = set(restored, 'Delivered', 'False', 'PagesLost')
  const away = at(rolling, { nodes: SILENT, destinationPod: undefined })
  assert.equal(written(away, 'Succeeded'), 'Unknown DestinationLost')
  const decided = plan(asked(plan(away, NOW).status ?? {}, { nodes: SILENT }), NOW).status ?? {}
  assert.equal(condition(decided, 'Delivered')?.reason, 'PagesLost')
  assert.ok(plan(at(decided, { nodes: SILENT, destinationPod: undefined }), NOW).status?.destination?.removedAt)
})

test("after a person's word a node that is back proves for itself", () => {
  const decided = plan(asked(lostAt(restored), { nodes: SILENT }), NOW).status ?? {}
  const back = plan(at(decided, { destinationPod: undefined }), NOW).status
  assert.equal(condition(back, 'Succeeded')?.reason, 'DestinationBack')
  assert.deepEqual(plan(at(back ?? {}, { destinationPod: undefined }), NOW), { requeueAfterMs: 1000 })
  assert.equal(
    written(at(back ?? {}, { destinationPod: undefined, nodes: SILENT }), 'Succeeded'),
    'Unknown DestinationLost',
  )
})

const later = [
  able('node-1'),
  able('node-2', {
    status: { conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime: '2026-01-01T00:00:30Z' }] },
  }),
]
for (const [sentence, snapshot] of [
  ['while the destination answers', asked(committed)],
  ['before the outage is told', asked(committed, { nodes: SILENT })],
  ['once the node is back', asked(lostAt(committed))],
  ['in a later outage', asked(lostAt(committed), { nodes: later })],
] as const) {
  test(`a person's word is thrown away ${sentence}`, () => {
    const command = commandOf(snapshot)
    assert.ok(command?.do === 'dropRecovery' && command.why)
  })
}

test('a pod that comes after the end of a rollback is taken away before the finalizer', () => {
  const ended = set({ ...set(opened, 'Committed', 'False'), timings: { finishedAt: START } }, 'Succeeded', 'False')
  assert.equal(commandOf(at(ended))?.do, 'deletePod')
  assert.equal(commandOf(at(ended, { destinationPod: undefined }))?.do, 'removeFinalizer')
})
