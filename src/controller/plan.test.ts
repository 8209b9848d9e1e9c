import assert from 'node:assert/strict'
import { test } from 'node:test'
import { condition, withCondition } from '../api/conditions.ts'
import type { MigrationStatus } from '../api/migration.ts'
import { AWAIT_ANNOTATION, RUNTIME_CLASS } from '../api/names.ts'
import type { Pod } from '../api/pod.ts'
import { plan } from './plan.ts'
import type { Snapshot } from './snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot, MIGRATION_UID, POD_UID, START } from './testing/builders.ts'

const NOW = new Date('2026-01-01T00:00:10Z')
const set = (status: MigrationStatus, type: Parameters<typeof withCondition>[1]['type'], truth: 'True' | 'False') =>
  withCondition(status, { type, status: truth, reason: 'Test', message: 'test' }, START)

const accepted: MigrationStatus = set(
  { source: { node: 'node-1', podUID: POD_UID }, destination: { node: 'node-2' }, timings: { acceptedAt: START } },
  'Accepted',
  'True',
)
const delivered = ['DestinationReady', 'Checkpointed', 'Delivered'].reduce(
  (status, type) => set(status, type as 'Delivered', 'True'),
  accepted,
)
const committed = set(delivered, 'Committed', 'True')
const at = (status: MigrationStatus, changes: Partial<Snapshot> = {}) =>
  aSnapshot({ migration: aMigration({}, status), ...changes })

test('the finalizer comes before everything else', () => {
  const migration = aMigration()
  migration.metadata.finalizers = []
  assert.deepEqual(plan(aSnapshot({ migration }), NOW), { commands: [{ do: 'addFinalizer' }] })
})

test('what has been delivered is committed', () => {
  assert.equal(condition(plan(at(delivered), NOW).status, 'Committed')?.status, 'True')
})

test('a deleted Migration is aborted before the commit and goes on after it', () => {
  const deleting = (status: MigrationStatus) => {
    const snapshot = at(status)
    snapshot.migration.metadata.deletionTimestamp = START
    return plan(snapshot, NOW)
  }
  assert.equal(condition(deleting(delivered).status, 'Committed')?.reason, 'Cancelled')
  assert.equal(deleting(committed).commands?.[0]?.do, 'createPod')
})

test('the time-out counts to the commit', () => {
  const late = new Date(Date.parse(START) + 601_000)
  assert.equal(condition(plan(at(accepted), late).status, 'Committed')?.reason, 'TimedOut')
  assert.equal(plan(at(committed), late).commands?.[0]?.do, 'createPod')
})

test('a source pod that was replaced is never checkpointed under the old name', () => {
  const sourcePod = aPod({}, { uid: 'another' })
  assert.equal(condition(plan(at(accepted, { sourcePod }), NOW).status, 'Committed')?.reason, 'PodReplaced')
})

test('a silent destination is waited for, not given up', () => {
  const nodes = [aNode('node-1'), aNode('node-2', { status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } })]
  const { status, commands } = plan(at(committed, { nodes }), NOW)
  assert.equal(condition(status, 'Restored')?.status, 'Unknown')
  assert.equal(condition(status, 'Restored')?.reason, 'DestinationLost')
  assert.equal(commands, undefined)
})

test("what podferry's own runtime restores is made as a pod that waits, and none but that counts", () => {
  const wrapped = { ...committed, destination: { node: 'node-2', podName: 'counter-x', restorer: 'Wrapper' as const } }
  const [command] = plan(at(wrapped), NOW).commands ?? []
  assert.ok(command?.do === 'createPod')
  assert.equal(command.pod.spec.runtimeClassName, RUNTIME_CLASS)
  assert.equal(command.pod.metadata.annotations[AWAIT_ANNOTATION], MIGRATION_UID)
  const { metadata, spec } = command.pod
  const made = (changes: Partial<Pod['spec']>) => aPod({ ...spec, ...changes }, { ...metadata, uid: 'made' })
  assert.equal(plan(at(wrapped, { destinationPod: made({}) }), NOW).status?.destination?.podUID, 'made')
  const cold = plan(at(wrapped, { destinationPod: made({ runtimeClassName: 'runc' }) }), NOW).status
  assert.equal(condition(cold, 'Restored')?.reason, 'NameTaken')
})

test('a destination pod that somebody deleted is not made again', () => {
  const gone = { ...committed, destination: { node: 'node-2', podName: 'x', podUID: 'y' } }
  assert.equal(condition(plan(at(gone), NOW).status, 'Restored')?.reason, 'DestinationPodDeleted')
})

test('the source pod is deleted only once the destination was seen running', () => {
  const restored = set(committed, 'Restored', 'True')
  assert.deepEqual(plan(at(restored), NOW).commands, [
    { do: 'deletePod', role: 'source', name: 'counter', uid: POD_UID, graceSeconds: 1 },
  ])
})

test('the source pod is taken from the API server at once when its node has nothing of it any more', () => {
  const restored = set(committed, 'Restored', 'True')
  const cleaned = { ...restored, source: { node: 'node-1', podUID: POD_UID, cleanedAt: START } }
  const deleted = (seconds: number) => aPod({}, { deletionTimestamp: START, deletionGracePeriodSeconds: seconds })
  const commandsOf = (status: MigrationStatus, sourcePod: Pod) => plan(at(status, { sourcePod }), NOW).commands
  assert.equal(commandsOf(restored, deleted(1)), undefined)
  assert.deepEqual(commandsOf(cleaned, deleted(1)), [
    { do: 'deletePod', role: 'source', name: 'counter', uid: POD_UID, graceSeconds: 0 },
  ])
  // Somebody's finalizer holds it.
  assert.equal(commandsOf(cleaned, deleted(0)), undefined)
})

test('without a node that fits, the reasons are listed', () => {
  const migration = aMigration({ destinationNode: undefined })
  const refused = plan(aSnapshot({ migration, nodes: [aNode('node-1')] }), NOW).status
  assert.equal(condition(refused, 'Accepted')?.reason, 'NoNodeFits')
  assert.match(condition(refused, 'Accepted')?.message ?? '', /node-1: SameNode/)
})

test('a finished Migration is deleted after its time to live', () => {
  const done = set({ timings: { finishedAt: START } }, 'Succeeded', 'True')
  const migration = aMigration({ ttlSecondsAfterFinished: 30 }, done)
  migration.metadata.finalizers = []
  assert.deepEqual(plan(aSnapshot({ migration }), NOW), { requeueAfterMs: 20_000 })
  assert.equal(
    plan(aSnapshot({ migration }), new Date(Date.parse(START) + 30_000)).commands?.[0]?.do,
    'deleteMigration',
  )
})

test('an agent or a registry that is being restarted is waited for, but not for long', () => {
  const snapshot = aSnapshot({ registries: new Set() })
  assert.deepEqual(plan(snapshot, new Date(Date.parse(START) + 9_000)), { requeueAfterMs: 1000 })
  const refused = plan(snapshot, new Date(Date.parse(START) + 10_000)).status
  assert.equal(condition(refused, 'Accepted')?.reason, 'NoRegistry')
})
