import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, condition, withCondition } from '../api/conditions.ts'
import { refusalIn } from '../api/finding.ts'
import type { MigrationStatus } from '../api/migration.ts'
import { DELETION_COST_ANNOTATION, HASH_LABEL, KUBERNETES_DELETION_COST, LIVE_LABEL } from '../api/names.ts'
import type { Pod, ReplicaSet } from '../api/pod.ts'
import { replacementPatch, waitingFor } from './admission/replacement.ts'
import { podFindings } from './checks/preflight.ts'
import { type Owner, releaseMarks } from './owner.ts'
import { plan } from './plan.ts'
import { waitingPod } from './pods.ts'
import type { Snapshot } from './snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot, POD_UID, START } from './testing/builders.ts'

const NOW = new Date('2026-01-01T00:00:05Z')
const OWNER: Owner = { kind: 'ReplicaSet', name: 'web-abc', uid: 'owner-uid', hash: 'abc' }
const REFERENCE = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: OWNER.name, uid: OWNER.uid, controller: true }

const replicaSet = (changes: Partial<ReplicaSet['metadata']> = {}): ReplicaSet => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: {
    name: OWNER.name,
    uid: OWNER.uid,
    resourceVersion: '1',
    creationTimestamp: START,
    generation: 1,
    ...changes,
  },
  spec: { replicas: 3, selector: { matchLabels: { app: 'web', [HASH_LABEL]: 'abc' } } },
  status: { replicas: 3, observedGeneration: 1 },
})
const owned = (): Pod => aPod({}, { labels: { app: 'web', [HASH_LABEL]: 'abc' }, ownerReferences: [REFERENCE] })
const accepted: MigrationStatus = withCondition(
  {
    mode: 'Live',
    source: { node: 'node-1', podUID: POD_UID, owner: OWNER },
    destination: { node: 'node-2', podName: 'counter-5f2a1' },
    timings: { acceptedAt: START },
  },
  { type: 'Accepted', status: 'True', reason: 'Test', message: '' },
  START,
)
const releasing: MigrationStatus = {
  ...accepted,
  source: { node: 'node-1', podUID: POD_UID, owner: OWNER, releasedAt: START },
}
const freed = (): Pod => {
  const marks = releaseMarks(aMigration(), owned())
  return aPod(
    {},
    {
      labels: { app: 'web', ...(marks.labels as Record<string, string>) },
      annotations: marks.annotations as Record<string, string>,
    },
  )
}
const NODES = ['node-1', 'node-2'].map((name) => aNode(name, {}, { [LIVE_LABEL]: 'true' }))
const at = (status: MigrationStatus | undefined, changes: Partial<Snapshot> = {}) =>
  aSnapshot({
    migration: aMigration({}, status),
    nodes: NODES,
    sourcePod: owned(),
    owner: replicaSet(),
    webhook: 'alive',
    ...changes,
  })
const aborted = (status: MigrationStatus, type: ConditionType = 'Committed') =>
  withCondition(status, { type, status: 'False', reason: 'Test', message: '' }, START)
const dones = (snapshot: Snapshot, now = NOW) =>
  plan(snapshot, now).commands?.map((command) => (command.do === 'markPod' ? command.why : command.do))

test('a pod of a Deployment is accepted with its owner written down', () => {
  const { status } = plan(at(undefined), NOW)
  assert.deepEqual([status?.mode, status?.source?.owner], ['Live', OWNER])
})

test('while the webhook does not answer it is refused, and nothing is touched', () => {
  const { status, commands } = plan(
    at(undefined, { webhook: { dead: 'connection refused' } }),
    new Date('2026-01-01T00:01:00Z'),
  )
  const found = condition(status, 'Accepted')
  assert.deepEqual([found?.status, found?.reason, commands], ['False', 'WebhookUnreachable', undefined])
  assert.match(found?.message ?? '', /connection refused.*9443/)
})

test('an owner that is gone, or that selects by something else, is refused', () => {
  const reason = (owner: ReplicaSet | undefined) => refusalIn(podFindings(at(undefined, { owner })))?.reason
  assert.equal(reason(undefined), 'OwnerGone')
  const other = replicaSet()
  other.spec.selector.matchLabels = { app: 'web' }
  assert.equal(reason(other), 'OwnerNotSupported')
})

test('the release is written down first, then done, and only while the webhook answers', () => {
  assert.equal(plan(at(accepted, { webhook: { dead: 'x' } }), NOW).status, undefined)
  assert.equal(plan(at(accepted), NOW).status?.source?.releasedAt, NOW.toISOString())
  assert.deepEqual(dones(at(releasing)), ['release'])
  assert.equal(dones(at(releasing, { sourcePod: freed() })), undefined)
})

test('an owner that makes no replacement ends the move', () => {
  const { status } = plan(at(releasing, { sourcePod: freed() }), new Date('2026-01-01T00:00:21Z'))
  assert.equal(condition(status, 'Committed')?.reason, 'ReplacementNotMade')
})

test('a Pending destination goes after the label is back, one that has run goes before', () => {
  const status = aborted({ ...releasing, destination: { node: 'node-2', podName: 'counter-5f2a1', podUID: 'there' } })
  const made = waitingPod(aMigration({}, accepted), owned())
  const pod = (phase: string): Pod => ({ ...aPod(made.spec, { ...made.metadata, uid: 'there' }), status: { phase } })
  const way = (phase: string) => dones(at(status, { sourcePod: freed(), destinationPod: pod(phase) }))
  assert.deepEqual(
    [way('Pending'), way('Running')],
    [
      ['handBack', 'deletePod'],
      ['deletePod', 'handBack'],
    ],
  )
})

test('without a destination the source goes back when it is clean and Ready, and is collected where its owner is gone', () => {
  const clean = aborted({
    ...releasing,
    source: { node: 'node-1', podUID: POD_UID, owner: OWNER, releasedAt: START, cleanedAt: START },
    destination: { node: 'node-2', podName: 'counter-5f2a1', cleanedAt: START },
  })
  const ready: Pod = freed()
  ready.status = { ...ready.status, conditions: [{ type: 'Ready', status: 'True' }] }
  assert.equal(dones(at(clean, { sourcePod: freed() })), undefined, 'not Ready yet')
  assert.deepEqual(dones(at(clean, { sourcePod: ready })), ['handBack'])
  assert.deepEqual(dones(at(clean, { sourcePod: freed() }), new Date('2026-01-01T00:00:31Z')), ['handBack'])
  assert.deepEqual(dones(at(clean, { sourcePod: ready, owner: undefined })), ['deletePod'])
  const home = aPod({}, { ...owned().metadata, annotations: { [DELETION_COST_ANNOTATION]: '' } })
  assert.deepEqual(dones(at(clean, { sourcePod: home })), ['settle'])
})

test('of two Migrations of one owner each is claimed once, the older first', () => {
  const older = aMigration({}, releasing)
  const younger = aMigration({}, releasing)
  younger.metadata = { ...younger.metadata, uid: 'ffff', creationTimestamp: '2026-01-01T00:00:01Z' }
  const uids = (list: (typeof older)[]) => waitingFor(OWNER.uid, list).map(({ metadata }) => metadata.uid)
  assert.deepEqual(uids([younger, older]), [older.metadata.uid, 'ffff'])
  const claimed = { ...older, status: { ...releasing, destination: { node: 'node-2', claim: 'c' } } }
  assert.deepEqual(uids([younger, claimed]), ['ffff'])
  assert.deepEqual(uids([aMigration({}, aborted(releasing)), aMigration({}, accepted)]), [])
})

test('the replacement keeps the labels of its owner and has nothing of the release', () => {
  const object = { metadata: { labels: { app: 'web', [HASH_LABEL]: 'abc' } } }
  const creation = { uid: 'c', operation: 'CREATE' as const, namespace: 'default', object }
  const patch = replacementPatch(aMigration({}, releasing), freed(), creation)
  const value = (path: string) => patch.find((operation) => operation.path === path)?.value as Record<string, string>
  assert.equal(value('/metadata/name') as unknown, 'counter-5f2a1')
  assert.equal(value('/metadata/labels')[HASH_LABEL], 'abc')
  const { [KUBERNETES_DELETION_COST]: cost, [DELETION_COST_ANNOTATION]: kept } = value('/metadata/annotations')
  assert.deepEqual([cost, kept], [undefined, undefined])
})

test('the source stays until the API server has heard that the destination is Ready, but not for ever', () => {
  const restored = (['Committed', 'Restored', 'Delivered'] as const).reduce<MigrationStatus>(
    (status, type) => withCondition(status, { type, status: 'True', reason: 'Test', message: '' }, START),
    { ...releasing, destination: { node: 'node-2', podName: 'counter-5f2a1', podUID: 'there' } },
  )
  const made = waitingPod(aMigration({}, accepted), owned())
  const told = (pod: Pod, ready: boolean): Pod => ({
    ...pod,
    status: { ...pod.status, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  })
  const look = (ready: boolean, moment = new Date('2026-01-01T00:00:01Z')) => {
    const destinationPod = told(aPod(made.spec, { ...made.metadata, uid: 'there' }), ready)
    return dones(at(restored, { sourcePod: told(freed(), true), destinationPod }), moment)
  }
  assert.equal(look(false), undefined)
  assert.deepEqual(look(true), ['deletePod'])
  assert.deepEqual(look(false, new Date('2026-01-01T00:00:31Z')), ['deletePod'])
})
