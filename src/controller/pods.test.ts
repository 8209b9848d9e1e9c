import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AWAIT_ANNOTATION, LIVE_LABEL, MIGRATION_UID_LABEL, RUNTIME_CLASS } from '../api/names.ts'
import { containersOf, destinationPod, destinationPodName, isWaitingPod, pullPod, waitingPod } from './pods.ts'
import { aMigration, aPod, MIGRATION_UID, POD_UID } from './testing/builders.ts'

const accepted = () => aMigration({}, { source: { node: 'node-1', podUID: POD_UID }, destination: { node: 'node-2' } })

test('the destination pod is the source pod with its checkpoint as image, on the other node', () => {
  const pod = destinationPod(accepted(), aPod())
  assert.equal(pod.spec.nodeName, 'node-2')
  assert.equal(pod.spec.containers[0]?.image, `localhost:5577/podferry/default/${MIGRATION_UID}/main:checkpoint`)
  assert.equal(pod.spec.containers[0]?.imagePullPolicy, 'IfNotPresent')
  assert.equal(pod.metadata.labels[MIGRATION_UID_LABEL], MIGRATION_UID)
})

test('members that podferry does not know are copied too', () => {
  const source = aPod()
  Object.assign(source.spec, { aFieldOfTheFuture: { deep: [1] } })
  assert.deepEqual(
    (destinationPod(accepted(), source).spec as object as { aFieldOfTheFuture: unknown }).aFieldOfTheFuture,
    {
      deep: [1],
    },
  )
})

test('init containers that have ended are not run again, sidecars are kept', () => {
  const source = aPod({
    initContainers: [
      { name: 'setup', image: 'i' },
      { name: 'proxy', image: 'i', restartPolicy: 'Always' },
    ],
  })
  assert.deepEqual(
    destinationPod(accepted(), source).spec.initContainers?.map((container) => container.name),
    ['proxy'],
  )
})

test('a second move keeps the first name and the images that people wrote', () => {
  const first = destinationPod(accepted(), aPod())
  const moved = aPod(first.spec, { ...first.metadata })
  const next = accepted()
  next.metadata.uid = '99999999-0000-4000-8000-000000000001'
  const second = destinationPod(next, moved)
  assert.equal(second.metadata.name, 'counter-99999')
  assert.equal(second.spec.hostname, 'counter')
  assert.equal(second.metadata.annotations['podferry.dev/original-images'], '{"main":"registry.test/counter:1"}')
})

test('a derived name is a valid host name of at most 63 characters', () => {
  const name = destinationPodName(aMigration(), aPod({}, { name: `${'a'.repeat(56)}-${'b'.repeat(40)}` }))
  assert.match(name, /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
})

test('without a destination the pull pod asks the scheduler for any node but the excluded', () => {
  const pod = pullPod(aMigration({ destinationNode: undefined }), aPod(), ['node-1'])
  assert.equal(pod.spec.nodeName, undefined)
  assert.match(JSON.stringify(pod.spec.affinity), /"metadata.name","operator":"NotIn","values":\["node-1"\]/)
})

test('an annotation that does not parse is as good as absent', () => {
  const pod = destinationPod(accepted(), aPod({}, { annotations: { 'podferry.dev/original-images': '{' } }))
  assert.equal(pod.metadata.annotations['podferry.dev/original-images'], '{"main":"registry.test/counter:1"}')
})

test('the waiting pod of mode Live runs the original images by digest, under the runtime that waits', () => {
  const migration = accepted()
  migration.status = { ...migration.status, containers: containersOf(aPod()) }
  const pod = waitingPod(migration, aPod())
  assert.equal(pod.spec.containers[0]?.image, `registry.test/counter@sha256:${'a'.repeat(64)}`)
  assert.equal(pod.spec.runtimeClassName, RUNTIME_CLASS)
  assert.equal(pod.metadata.annotations[AWAIT_ANNOTATION], MIGRATION_UID)
  assert.equal(pod.spec.hostname, 'counter')
})

test('a pod that has moved live does not wait when it moves by image', () => {
  const nodeSelector = { [LIVE_LABEL]: 'true', disk: 'ssd' }
  const moved = aPod(
    { runtimeClassName: RUNTIME_CLASS, nodeSelector },
    { annotations: { [AWAIT_ANNOTATION]: 'earlier' } },
  )
  const pod = destinationPod(accepted(), moved)
  assert.deepEqual([pod.metadata.annotations[AWAIT_ANNOTATION], pod.spec.runtimeClassName], [undefined, undefined])
  assert.deepEqual(pod.spec.nodeSelector, { disk: 'ssd' })
  assert.deepEqual(pullPod(accepted(), moved, []).spec.nodeSelector, { disk: 'ssd' })
  assert.deepEqual([moved.spec.runtimeClassName, moved.spec.nodeSelector], [RUNTIME_CLASS, nodeSelector])
})

test('a pod with our label only is not taken for the waiting one', () => {
  const migration = accepted()
  const made = waitingPod(migration, aPod())
  const stored = (pod: typeof made) => aPod(pod.spec, pod.metadata)
  assert.equal(isWaitingPod(migration, stored(made)), true)
  const { [AWAIT_ANNOTATION]: _away, ...annotations } = made.metadata.annotations
  assert.equal(isWaitingPod(migration, stored({ ...made, metadata: { ...made.metadata, annotations } })), false)
})
