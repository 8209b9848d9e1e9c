import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withCondition } from '../api/conditions.ts'
import { refusalIn } from '../api/finding.ts'
import type { MigrationStatus } from '../api/migration.ts'
import { JOB_LABEL, LIVE_LABEL } from '../api/names.ts'
import type { Job, Pod } from '../api/pod.ts'
import { heldBy, jobHolder } from './admission/replacement.ts'
import { podFindings } from './checks/preflight.ts'
import { type Owner, releaseMarks } from './owner.ts'
import { plan } from './plan.ts'
import { waitingPod } from './pods.ts'
import type { Snapshot } from './snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot, POD_UID, START } from './testing/builders.ts'

const NOW = new Date('2026-01-01T00:00:05Z')
const OWNER: Owner = { kind: 'Job', name: 'sum', uid: 'job-uid', hash: 'job-uid' }
const REFERENCE = { apiVersion: 'batch/v1', kind: 'Job', name: OWNER.name, uid: OWNER.uid, controller: true }
const NODES = ['node-1', 'node-2'].map((name) => aNode(name, {}, { [LIVE_LABEL]: 'true' }))

const aJob = (spec: object = {}, status: Job['status'] = {}): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: OWNER.name, uid: OWNER.uid, resourceVersion: '1', creationTimestamp: START },
  spec: { completions: 1, selector: { matchLabels: { [JOB_LABEL]: OWNER.hash } }, ...spec },
  status,
})
const FINISHED = aJob({}, { conditions: [{ type: 'Failed', status: 'True' }] })

type Told = [type: Parameters<typeof withCondition>[1]['type'], status: 'True' | 'False']
const told = (status: MigrationStatus, ...conditions: Told[]) =>
  conditions.reduce(
    (before, [type, value]) => withCondition(before, { type, status: value, reason: 'Test', message: '' }, START),
    status,
  )
const accepted: MigrationStatus = told(
  {
    mode: 'Live',
    source: { node: 'node-1', podUID: POD_UID, owner: OWNER },
    destination: { node: 'node-2', podName: 'counter-5f2a1' },
    timings: { acceptedAt: START },
  },
  ['Accepted', 'True'],
)
const released: MigrationStatus = {
  ...accepted,
  source: { node: 'node-1', podUID: POD_UID, owner: OWNER, releasedAt: START },
}

const owned = () => aPod({}, { labels: { [JOB_LABEL]: OWNER.hash }, ownerReferences: [REFERENCE] })
const RELEASED = releaseMarks(aMigration({}, accepted), owned()).labels as Record<string, string>
/** The Job has not seen it yet. */
const marked = () => aPod({}, { labels: RELEASED, ownerReferences: [REFERENCE] })
const freed = () => aPod({}, { labels: RELEASED })
const arrived = (changes: Partial<Pod['metadata']> = {}): Pod => {
  const { metadata, spec } = waitingPod(aMigration({}, released), freed())
  const own = { uid: 'destination', resourceVersion: '1', creationTimestamp: START }
  const conditions = [{ type: 'Ready', status: 'True' }]
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', spec, status: { phase: 'Running', conditions } },
    metadata: { ...metadata, ...own, ...changes },
  }
}

const at = (status: MigrationStatus | undefined, changes: Partial<Snapshot> = {}) =>
  aSnapshot({
    migration: aMigration({}, status),
    nodes: NODES,
    sourcePod: owned(),
    owner: aJob(),
    webhook: 'alive',
    ...changes,
  })
const dones = (snapshot: Snapshot, now = NOW) =>
  plan(snapshot, now).commands?.map((command) =>
    command.do === 'markPod' ? command.why : 'role' in command ? `${command.do} ${command.role}` : command.do,
  )

test('a pod of a Job is accepted, released, and copied when the Job has let go of it', () => {
  assert.deepEqual(plan(at(undefined), NOW).status?.source?.owner, OWNER)
  assert.notEqual(plan(at(accepted), NOW).status?.source?.releasedAt, undefined)
  assert.deepEqual(dones(at(released)), ['release'])
  assert.equal(dones(at(released, { sourcePod: marked() })), undefined)
  assert.deepEqual(dones(at(released, { sourcePod: freed() })), ['createPod destination'])
})

test('the destination is none of the Job’s when it is made', () => {
  const { metadata } = waitingPod(aMigration({}, released), freed())
  assert.notEqual(metadata.labels[JOB_LABEL], OWNER.hash)
})

test('a Job that does not let go ends the move before anything is frozen', () => {
  const late = new Date(NOW.getTime() + 20_000)
  const { status } = plan(at(released, { sourcePod: marked() }), late)
  assert.equal(status?.failure?.reason, 'ReplacementNotMade')
})

const done = told(
  {
    ...released,
    source: { node: 'node-1', podUID: POD_UID, owner: OWNER, releasedAt: START, cleanedAt: START },
    destination: { node: 'node-2', podName: 'counter-5f2a1', podUID: 'destination', cleanedAt: START },
  },
  ['Committed', 'True'],
  ['Restored', 'True'],
  ['Delivered', 'True'],
)
const gone = told(done, ['SourceRemoved', 'True'])

test('with all its memory there, the destination becomes the Job’s; the end is told when the Job has taken it', () => {
  const missing = told(released, ['Committed', 'True'], ['Restored', 'True'])
  assert.equal(dones(at(missing, { sourcePod: freed(), destinationPod: arrived() })), undefined)
  assert.deepEqual(dones(at(done, { sourcePod: freed(), destinationPod: arrived() })), ['adopt'])
  const given = { labels: { ...arrived().metadata.labels, [JOB_LABEL]: OWNER.hash } }
  assert.equal(plan(at(gone, { sourcePod: undefined, destinationPod: arrived(given) }), NOW).status, undefined)
  const adopted = arrived({ ...given, ownerReferences: [REFERENCE] })
  const { status } = plan(at(gone, { sourcePod: undefined, destinationPod: adopted }), NOW)
  assert.equal(status?.conditions?.find(({ type }) => type === 'Succeeded')?.status, 'True')
})

test('a Job that has ended meanwhile would have ended its pod', () => {
  const snapshot = at(done, { sourcePod: freed(), destinationPod: arrived(), owner: FINISHED })
  assert.deepEqual(dones(snapshot), ['deletePod destination'])
})

const undone = told(
  {
    ...released,
    source: { node: 'node-1', podUID: POD_UID, owner: OWNER, releasedAt: START, cleanedAt: START },
    destination: { node: 'node-2', podName: 'counter-5f2a1', cleanedAt: START },
  },
  ['Committed', 'False'],
)

test('back: the source is handed to the Job, and the end is told when the Job has taken it', () => {
  assert.deepEqual(dones(at(undone, { sourcePod: freed() })), ['handBack'])
  const given = aPod({}, { labels: { [JOB_LABEL]: OWNER.hash } })
  assert.equal(plan(at(undone, { sourcePod: given }), NOW).status, undefined)
  const { status } = plan(at(undone, { sourcePod: owned() }), NOW)
  assert.equal(status?.conditions?.find(({ type }) => type === 'Succeeded')?.reason, 'RolledBack')
  assert.deepEqual(dones(at(undone, { sourcePod: freed(), owner: FINISHED })), ['deletePod source'])
})

test('from the release to the end the Job makes no pod', () => {
  const [before, during, after] = [accepted, released, told(undone, ['Succeeded', 'False'])].map((status) =>
    aMigration({}, status),
  )
  assert.ok(before && during && after)
  assert.equal(jobHolder(OWNER.uid, [before, after]), undefined)
  assert.equal(jobHolder(OWNER.uid, [during]), during)
  assert.equal(jobHolder('another', [during]), undefined)
  assert.deepEqual(heldBy([before, during, after]), [{ owner: OWNER.uid }])
})

const REFUSED: [string, Job | undefined, string, RegExp][] = [
  ['that is gone', undefined, 'OwnerGone', /gone/],
  ['that has finished', FINISHED, 'OwnerGone', /has finished/],
  [
    'with a selector of its own',
    aJob({ selector: { matchLabels: { app: 'x' } } }),
    'OwnerNotSupported',
    /manualSelector/,
  ],
  ['that another controller manages', aJob({ managedBy: 'kueue.x-k8s.io/job' }), 'OwnerNotSupported', /kueue/],
  ['of a work queue', aJob({ completions: undefined }), 'OwnerNotSupported', /spec.completions/],
]
for (const [sentence, owner, reason, words] of REFUSED) {
  test(`a pod of a Job ${sentence} is refused`, () => {
    const finding = refusalIn(podFindings(at(undefined, { owner })))
    assert.equal(finding?.reason, reason)
    assert.match(finding.message, words)
  })
}

test('a pod of a Job moves in mode Live only', () => {
  const snapshot = at(undefined, { migration: aMigration({ mode: 'Image' }) })
  assert.equal(plan(snapshot, NOW).status?.failure?.reason, 'OwnerNeedsLive')
})
