/** A pod without an owner that has a claim, in mode Image: its object goes first, and the controller makes it anew. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConditionType, condition, withCondition } from '../api/conditions.ts'
import type { Migration, MigrationStatus } from '../api/migration.ts'
import {
  AWAIT_ANNOTATION,
  LIVE_LABEL,
  MIGRATION_UID_LABEL,
  ORIGINAL_IMAGES_ANNOTATION,
  RUNTIME_CLASS,
} from '../api/names.ts'
import type { Pod } from '../api/pod.ts'
import { heldBy } from './admission/replacement.ts'
import { plan } from './plan.ts'
import { freshPod } from './pods.ts'
import type { Snapshot } from './snapshot.ts'
import type { Command } from './step.ts'
import { aMigration, aNode, aPod, aSnapshot, MIGRATION_UID, POD_UID, START } from './testing/builders.ts'

const NOW = new Date('2026-01-01T00:00:05Z')
const NAME = 'notebook'
const VOLUMES = [{ name: 'home', persistentVolumeClaim: { claimName: 'home' } }]
const NODES = ['node-1', 'node-2'].map((name) => aNode(name, {}, { [LIVE_LABEL]: 'true' }))

const notebook = (metadata: Partial<Pod['metadata']> = {}, spec: Partial<Pod['spec']> = {}): Pod =>
  aPod({ volumes: VOLUMES, ...spec }, { name: NAME, labels: { app: NAME }, ...metadata })

const at = (status?: MigrationStatus, changes: Partial<Snapshot> = {}, spec: Partial<Migration['spec']> = {}) =>
  aSnapshot({
    migration: aMigration({ podName: NAME, ...spec }, status),
    nodes: NODES,
    sourcePod: notebook(),
    claims: { home: { place: 'elsewhere', accessModes: ['ReadWriteOnce'] } },
    ...changes,
  })
const settle = (status: MigrationStatus, truth: 'True' | 'False', ...types: ConditionType[]) =>
  types.reduce((next, type) => withCondition(next, { type, status: truth, reason: 'Test', message: '' }, START), status)
const made = ({ commands = [] }: ReturnType<typeof plan>) =>
  commands.flatMap((command: Command) => (command.do === 'createPod' ? [command] : []))

const gone = { sourcePod: undefined }
const accepted: MigrationStatus = plan(at(), NOW).status ?? {}
const delivered = settle(accepted, 'True', 'DestinationReady', 'Checkpointed', 'Delivered')
const committed: MigrationStatus = plan(at(delivered), NOW).status ?? {}
const successor = (metadata: Partial<Pod['metadata']> = {}, node = 'node-2') =>
  notebook({ uid: 'new-uid', labels: { [MIGRATION_UID_LABEL]: MIGRATION_UID }, ...metadata }, { nodeName: node })

test('Auto takes Image, keeps the name, says why and that it stands still; no webhook is asked', () => {
  assert.deepEqual(
    [accepted.mode, accepted.source?.recreated, accepted.source?.owner, accepted.destination?.podName],
    ['Image', true, undefined, NAME],
  )
  assert.match(condition(accepted, 'Accepted')?.message ?? '', /not Live: .*claim home.*its volumes are free.*minutes/)
  assert.deepEqual(heldBy([aMigration({ podName: NAME }, committed)]), [])
})

test('a claim that many nodes may have goes Live, under a name of its own; in mode Image its pod keeps the name', () => {
  const claims = { home: { place: 'elsewhere', accessModes: ['ReadWriteMany'] } } as const
  const live = plan(at(undefined, { claims }), NOW).status
  assert.deepEqual([live?.mode, live?.source?.recreated], ['Live', undefined])
  assert.notEqual(live?.destination?.podName, NAME)
  const image = plan(at(undefined, { claims }, { mode: 'Image' }), NOW).status
  assert.deepEqual([image?.mode, image?.source?.recreated, image?.destination?.podName], ['Image', true, NAME])
})

test('mode Live is refused with the way out', () => {
  const { status } = plan(at(undefined, {}, { mode: 'Live' }), NOW)
  assert.equal(status?.failure?.reason, 'VolumeNotSupported')
  assert.match(status.failure.message, /use mode Image or Auto: there the source goes first/)
})

test('after the commit the source goes, never by force; only when it is gone the destination is made, from what the commit kept', () => {
  const [removal] = plan(at(committed), NOW).commands ?? []
  assert.deepEqual(removal, { do: 'deletePod', role: 'source', name: NAME, uid: POD_UID, graceSeconds: 1 })
  assert.deepEqual(made(plan(at(committed, { sourcePod: notebook({ deletionTimestamp: START }) }), NOW)), [])
  const [creation, ...more] = made(plan(at(committed, gone), NOW))
  assert.equal(more.length, 0)
  assert.deepEqual([creation?.role, creation?.pod.metadata.name], ['destination', NAME])
  assert.deepEqual([creation?.pod.spec.nodeName, creation?.pod.spec.volumes], ['node-2', VOLUMES])
  assert.match(creation?.pod.spec.containers[0]?.image ?? '', new RegExp(MIGRATION_UID))
})

test('the one that was made is written down; deleted before it ran, the pod comes back to the source', () => {
  const known = plan(at(committed, { ...gone, destinationPod: successor() }), NOW).status ?? {}
  assert.equal(known.destination?.podUID, 'new-uid')
  const lost = plan(at(known, gone), NOW).status
  assert.equal(condition(lost, 'Restored')?.reason, 'DestinationPodDeleted')
})

test('a foreign pod under the name is left alone', () => {
  const foreign = successor({ labels: {} })
  const { status, commands } = plan(at(committed, { ...gone, destinationPod: foreign }), NOW)
  assert.deepEqual([condition(status, 'Restored')?.reason, commands], ['NameTaken', undefined])
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
const sentBack = plan(at(failed, gone), NOW).status ?? {}

test('a restore that fails is tried once more at the source, when the archive is in its registry', () => {
  assert.deepEqual(sentBack.destination, { node: 'node-1', podName: NAME })
  assert.deepEqual(made(plan(at(sentBack, gone), NOW)), [])
  const [creation] = made(plan(at(settle(sentBack, 'True', 'Delivered'), gone), NOW))
  assert.equal(creation?.pod.spec.nodeName, 'node-1')
})

test('a pod that an old view has made for the first destination is taken away before the one at the source is made', () => {
  const late = { ...gone, destinationPod: successor() }
  const { commands } = plan(at(settle(sentBack, 'True', 'Delivered'), late), NOW)
  assert.deepEqual(commands, [{ do: 'deletePod', role: 'destination', name: NAME, uid: 'new-uid', graceSeconds: 1 }])
})

const hopeless: MigrationStatus = settle(
  {
    ...sentBack,
    source: { ...failed.source, node: 'node-1', podUID: POD_UID, cleanedAt: START, kept: ['/archives/x.tar'] },
    destination: { node: 'node-1', podName: NAME, podUID: 'third', removedAt: START, cleanedAt: START },
  },
  'False',
  'Restored',
)

test('where neither node can restore it, it is started afresh, and the end says where its state lies', () => {
  const [creation] = made(plan(at(hopeless, gone), NOW))
  assert.deepEqual([creation?.pod.metadata.name, creation?.pod.spec.nodeName], [NAME, undefined])
  assert.equal(creation?.pod.spec.containers[0]?.image, 'registry.test/counter:1')
  const { metadata, spec } = creation?.pod ?? notebook()
  const fresh = notebook({ ...metadata, uid: 'fresh' }, spec)
  const end = plan(at(hopeless, { ...gone, destinationPod: fresh }), NOW)
  assert.equal(end.commands, undefined)
  assert.match(
    condition(end.status, 'Succeeded')?.message ?? '',
    /restored nowhere, it was started afresh; its state is kept on node node-1 \(\/archives\/x\.tar\)/,
  )
  assert.deepEqual(plan(at(end.status, { ...gone, destinationPod: fresh }), NOW).commands, [{ do: 'removeFinalizer' }])
})

test('what was to run once is not begun a second time', () => {
  const once = plan(at(delivered, { sourcePod: notebook({}, { restartPolicy: 'Never' }) }), NOW).status
  const status = {
    ...hopeless,
    source: { ...hopeless.source, node: 'node-1', podUID: POD_UID, manifest: once?.source?.manifest },
  }
  const end = plan(at(status, gone), NOW)
  assert.match(condition(end.status, 'Succeeded')?.message ?? '', /it was not started afresh; its state is kept/)
})

test('what is started afresh is as people made it, after any number of moves', () => {
  const annotations = { [ORIGINAL_IMAGES_ANNOTATION]: '{"main":"registry.test/counter:1"}', [AWAIT_ANNOTATION]: 'x' }
  const moved = notebook(
    { annotations, labels: { app: NAME, [MIGRATION_UID_LABEL]: 'earlier' } },
    {
      runtimeClassName: RUNTIME_CLASS,
      containers: [{ name: 'main', image: 'checkpoint' }],
      nodeSelector: { [LIVE_LABEL]: 'true', disk: 'ssd' },
    },
  )
  const { metadata, spec } = freshPod(aMigration({ podName: NAME }), moved)
  assert.deepEqual(metadata.labels, { app: NAME })
  assert.equal(metadata.annotations[AWAIT_ANNOTATION], undefined)
  assert.deepEqual([spec.runtimeClassName, spec.nodeSelector], [undefined, { disk: 'ssd' }])
  assert.equal(spec.containers[0]?.image, 'registry.test/counter:1')
})
