import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, condition, withCondition } from '../api/conditions.ts'
import { refusalIn } from '../api/finding.ts'
import type { Migration, MigrationStatus } from '../api/migration.ts'
import { LIVE_LABEL, MIGRATION_UID_LABEL } from '../api/names.ts'
import type { Pod, StatefulSet } from '../api/pod.ts'
import { holderOf, holdsName, isRestorable, successorPatch } from './admission/replacement.ts'
import { judgeNode, podFindings } from './checks/preflight.ts'
import type { ClaimFacts } from './checks/volume-checks.ts'
import { manifestOf, sourceFrom } from './manifest.ts'
import { plan } from './plan.ts'
import type { Snapshot } from './snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot, MIGRATION_UID, POD_UID, START } from './testing/builders.ts'

const NOW = new Date('2026-01-01T00:00:05Z')
const LATER = new Date('2026-01-01T00:01:00Z')
const NAME = 'web-1'
const REFERENCE = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'set-uid', controller: true }
const LABELS = { app: 'web', 'controller-revision-hash': 'web-7', 'apps.kubernetes.io/pod-index': '1' }

const owned = (metadata: Partial<Pod['metadata']> = {}, spec: Partial<Pod['spec']> = {}): Pod =>
  aPod(
    { hostname: NAME, volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-web-1' } }], ...spec },
    { name: NAME, labels: LABELS, ownerReferences: [REFERENCE], ...metadata },
  )
const set = (spec: Partial<StatefulSet['spec']> = {}): StatefulSet => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'web', uid: 'set-uid', resourceVersion: '1', creationTimestamp: START },
  spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, ...spec },
})
const REACHABLE: ClaimFacts = { place: 'elsewhere', accessModes: ['ReadWriteOnce'] }
const NODES = ['node-1', 'node-2'].map((name) => aNode(name, {}, { [LIVE_LABEL]: 'true', zone: name }))

const at = (status?: MigrationStatus, changes: Partial<Snapshot> = {}, spec: Partial<Migration['spec']> = {}) =>
  aSnapshot({
    migration: aMigration({ podName: NAME, ...spec }, status),
    nodes: NODES,
    sourcePod: owned(),
    owner: set(),
    webhook: 'alive',
    claims: { 'data-web-1': REACHABLE },
    ...changes,
  })

const settle = (status: MigrationStatus, truth: 'True' | 'False', ...types: ConditionType[]) =>
  types.reduce((next, type) => withCondition(next, { type, status: truth, reason: 'Test', message: '' }, START), status)

const accepted: MigrationStatus = plan(at(), NOW).status ?? {}
const delivered = settle(accepted, 'True', 'DestinationReady', 'Checkpointed', 'Delivered')
const committed: MigrationStatus = plan(at(delivered), NOW).status ?? {}
const gone = { sourcePod: undefined }
const successor = (metadata: Partial<Pod['metadata']> = {}) =>
  owned(
    { uid: 'new-uid', labels: { ...LABELS, [MIGRATION_UID_LABEL]: MIGRATION_UID }, ...metadata },
    { nodeName: 'node-2' },
  )

test('Auto takes Image, says why, and that it stands still', () => {
  assert.deepEqual([accepted.mode, accepted.destination?.podName], ['Image', NAME])
  assert.deepEqual(accepted.source?.owner, { kind: 'StatefulSet', name: 'web', uid: 'set-uid', hash: 'web-7' })
  assert.match(condition(accepted, 'Accepted')?.message ?? '', /not Live: .*same name.*stands still.*minutes/)
})

/** A sentence, the situation, the reason, words of the message. */
const REFUSED: [string, Snapshot, string, RegExp][] = [
  ['mode Live', at(undefined, {}, { mode: 'Live' }), 'OwnerNeedsImage', /same name.*use mode Image/],
  ['a dead webhook', at(undefined, { webhook: { dead: 'refused' } }), 'WebhookUnreachable', /refused/],
  [
    'a local volume',
    at(undefined, { claims: { 'data-web-1': { place: 'node', accessModes: ['ReadWriteOnce'] } } }),
    'LocalVolume',
    /data-web-1/,
  ],
  [
    'a volume of another zone',
    at(undefined, {
      claims: {
        'data-web-1': {
          ...REACHABLE,
          terms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['node-1'] }] }],
        },
      },
    }),
    'VolumeOutOfReach',
    /node-2.*kubectl describe pv/,
  ],
  [
    'an emptyDir',
    at(undefined, { sourcePod: owned({}, { volumes: [{ name: 'scratch', emptyDir: {} }] }) }),
    'VolumeNotSupported',
    /scratch.*remove the volume/,
  ],
  ['a StatefulSet that is gone', at(undefined, { owner: undefined }), 'OwnerGone', /gone/],
  ['an ordinal beyond its replicas', at(undefined, { owner: set({ replicas: 1 }) }), 'OwnerGone', /scaled down/],
]
for (const [sentence, snapshot, reason, words] of REFUSED) {
  test(`preflight refuses ${sentence}`, () => {
    const found = refusalIn(podFindings(snapshot)) ?? refusalIn(judgeNode(snapshot, 'node-2').findings)
    assert.equal(found?.reason, reason)
    assert.match(found.message, words)
  })
}

test('a volume that any node can have, RWO or RWX, is no obstacle; nor are ordinals that begin elsewhere', () => {
  const shared: ClaimFacts = { place: 'elsewhere', accessModes: ['ReadWriteMany'] }
  const snapshot = at(undefined, {
    claims: { 'data-web-1': shared },
    owner: set({ replicas: 1, ordinals: { start: 1 } }),
  })
  assert.equal(judgeNode(snapshot, 'node-2').mode, 'Image')
  assert.equal(refusalIn(podFindings(snapshot)), undefined)
})

test('nothing is committed while the webhook does not answer; then it is rolled back', () => {
  const dead = at(delivered, { webhook: { dead: 'refused' } })
  assert.equal(plan(dead, NOW).status, undefined)
  assert.equal(condition(plan(dead, LATER).status, 'Committed')?.reason, 'WebhookUnreachable')
})

test('the commit keeps what the destination is made from, and the end forgets it', () => {
  const source = sourceFrom(aMigration({ podName: NAME }, committed))
  assert.deepEqual(source?.spec, owned().spec)
  assert.deepEqual([source?.metadata.uid, source?.metadata.labels], [POD_UID, LABELS])
  const done = settle(
    {
      ...committed,
      source: { ...committed.source, node: 'node-1', podUID: POD_UID, cleanedAt: START },
      destination: { node: 'node-2', podName: NAME, podUID: 'new-uid', cleanedAt: START },
    },
    'True',
    'Restored',
    'SourceRemoved',
  )
  const end = plan(at(done, { ...gone, destinationPod: successor() }), NOW).status
  assert.equal(condition(end, 'Succeeded')?.reason, 'Moved')
  assert.equal(end?.source?.manifest, undefined)
})

test('after the commit the source object goes, never by force, and only once', () => {
  const [removal] = plan(at(committed), NOW).commands ?? []
  assert.deepEqual(removal, { do: 'deletePod', role: 'source', name: NAME, uid: POD_UID, graceSeconds: 1 })
  const leaving = plan(at(committed, { sourcePod: owned({ deletionTimestamp: START }) }), NOW)
  assert.deepEqual([leaving.commands, leaving.status], [undefined, undefined])
})

test('the successor is written down; one that is deleted before it ran gives way to the next', () => {
  const known = plan(at(committed, { ...gone, destinationPod: successor() }), NOW).status
  assert.equal(known?.destination?.podUID, 'new-uid')
  const again = plan(at(known, gone), NOW).status
  assert.equal(again?.destination?.podUID, undefined)
  assert.equal(condition(again, 'Restored'), undefined)
})

test('a StatefulSet that no longer wants the pod ends the move', () => {
  const status = plan(at(committed, { ...gone, owner: set({ replicas: 1 }) }), NOW).status
  assert.deepEqual(
    [condition(status, 'Restored')?.status, condition(status, 'Restored')?.reason],
    ['False', 'OwnerGone'],
  )
})

const failed: MigrationStatus = settle(
  {
    ...committed,
    source: { ...committed.source, node: 'node-1', podUID: POD_UID, emptiedAt: START },
    destination: { node: 'node-2', podName: NAME, podUID: 'new-uid', removedAt: START, cleanedAt: START },
  },
  'False',
  'Restored',
)

test('a restore that fails is tried once more at the source, when nothing of it is left', () => {
  const running = { ...gone, destinationPod: successor() }
  assert.deepEqual(
    plan(at(failed, running), NOW).commands?.map((command) => command.do),
    ['deletePod'],
  )
  const back = plan(at(failed, gone), NOW).status
  assert.deepEqual(back?.destination, { node: 'node-1', podName: NAME })
  assert.deepEqual(
    (['Delivered', 'Restored'] as const).map((type) => condition(back, type)?.status),
    ['Unknown', 'Unknown'],
  )
  const { removedAt: _proof, ...open } = failed.destination ?? { node: 'node-2' }
  assert.equal(plan(at({ ...failed, destination: open }, gone), NOW).status, undefined)
})

test('a pod that came back is no success, and is not removed after the end', () => {
  const back = plan(at(failed, gone), NOW).status ?? {}
  const here = { ...back, destination: { node: 'node-1', podName: NAME, podUID: 'third', cleanedAt: START } }
  const done = settle(
    { ...here, source: { node: 'node-1', podUID: POD_UID, ...back.source, cleanedAt: START } },
    'True',
    'Delivered',
    'Restored',
    'SourceRemoved',
  )
  const returned = { ...gone, destinationPod: successor({ uid: 'third' }) }
  const end = plan(at(done, returned), NOW).status
  assert.equal(condition(end, 'Succeeded')?.reason, 'RolledBack')
  assert.match(condition(end, 'Succeeded')?.message ?? '', /restored from the checkpoint kept there/)
  assert.deepEqual(
    plan(at(end, returned), NOW).commands?.map((command) => command.do),
    ['removeFinalizer'],
  )
})

test('where neither node can restore it, the end says where the state lies', () => {
  const here = { node: 'node-1', podName: NAME, removedAt: START, cleanedAt: START }
  const kept = {
    ...failed.source,
    node: 'node-1',
    podUID: POD_UID,
    cleanedAt: START,
    kept: ['/var/lib/kubelet/checkpoints/x.tar'],
  }
  const end = plan(at({ ...failed, destination: here, source: kept }, gone), NOW).status
  assert.equal(condition(end, 'Succeeded')?.status, 'False')
  assert.match(condition(end, 'Succeeded')?.message ?? '', /starts it afresh.*node node-1 \(.*x\.tar\)/)
})

const migrationAt = (status: MigrationStatus) => aMigration({ podName: NAME }, status)
const holder = (status: MigrationStatus, name = NAME) => holderOf('set-uid', name, [migrationAt(status)])

test('the webhook takes exactly that name, from the commit until it runs, and only when the state is there', () => {
  assert.equal(holdsName(migrationAt(accepted)), true)
  assert.equal(holder(delivered), undefined)
  assert.ok(holder(committed))
  assert.equal(holder(committed, 'web-2'), undefined)
  assert.equal(holder(settle(committed, 'True', 'Restored')), undefined)
  assert.equal(isRestorable(migrationAt(committed)), true)
  assert.ok(holder(failed))
  assert.equal(isRestorable(migrationAt(failed)), false)
})

test('the successor keeps its name, its claim and the revision of the source', () => {
  const migration = migrationAt(committed)
  const source = sourceFrom(migration)
  assert.ok(source)
  const metadata = { name: NAME, labels: { ...LABELS, 'controller-revision-hash': 'web-8' } }
  const creation = { uid: 'u', operation: 'CREATE' as const, namespace: 'default', object: { metadata } }
  const patch = new Map(successorPatch(migration, source, creation).map(({ path, value }) => [path, value]))
  assert.equal(patch.has('/metadata/name'), false)
  assert.deepEqual(patch.get('/metadata/labels'), { ...LABELS, [MIGRATION_UID_LABEL]: MIGRATION_UID })
  const spec = patch.get('/spec') as Pod['spec']
  assert.deepEqual([spec.nodeName, spec.volumes], ['node-2', owned().spec.volumes])
  assert.match(spec.containers[0]?.image ?? '', new RegExp(MIGRATION_UID))
  assert.equal(manifestOf(source), manifestOf(owned()))
})
