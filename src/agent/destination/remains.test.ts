import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import type { ContainerState } from '../runtime/cri.ts'
import { createFakeRuntime } from '../runtime/testing/fake-runtime.ts'
import { leftoversOf } from './leftovers.ts'
import { remains } from './remains.ts'

const MIGRATION = '5f2a1c3e-0000-4000-8000-000000000001'
const POD = '0a0a0a0a-0000-4000-8000-000000000002'

const aSandbox = (
  state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY',
  { namespace = 'default', label = MIGRATION, uid = POD } = {},
) => ({
  id: 's',
  metadata: { name: 'p', uid, namespace, attempt: 0 },
  state,
  labels: { 'podferry.dev/migration-uid': label, 'io.kubernetes.pod.uid': uid },
})
const aContainer = (state: ContainerState, uid = POD) => ({
  ...{ id: 'c', metadata: { name: 'main', attempt: 0 }, state, createdAt: '1', startedAt: '0', finishedAt: '0' },
  ...{ exitCode: 0, reason: '', message: '', annotations: {}, labels: { 'io.kubernetes.pod.uid': uid } },
})
const aPod = (nodeName: string, image = 'i'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: POD, resourceVersion: '1', creationTimestamp: '' },
  spec: { nodeName, containers: [{ name: 'main', image }] },
})

describe('remains', () => {
  const cases: [
    sentence: string,
    what: {
      sandboxes?: ReturnType<typeof aSandbox>[]
      containers?: ReturnType<typeof aContainer>[]
      pods?: Pod[]
      podUID?: string | undefined
    },
    left: number,
  ][] = [
    ['nothing is nothing', {}, 0],
    [
      'what has ended cannot run',
      { sandboxes: [aSandbox('SANDBOX_NOTREADY')], containers: [aContainer('CONTAINER_EXITED')] },
      0,
    ],
    ['a running container', { containers: [aContainer('CONTAINER_RUNNING')] }, 1],
    ['a created container may still be started', { containers: [aContainer('CONTAINER_CREATED')] }, 1],
    ['a container of which nothing is known', { containers: [aContainer('CONTAINER_UNKNOWN')] }, 1],
    ['a sandbox that is ready may get a container', { sandboxes: [aSandbox('SANDBOX_READY')], podUID: undefined }, 1],
    [
      'containers are found through a sandbox whose UID nobody wrote down',
      { sandboxes: [aSandbox('SANDBOX_NOTREADY')], containers: [aContainer('CONTAINER_RUNNING')], podUID: undefined },
      1,
    ],
    ['a pod that kubelet still has to see', { pods: [aPod('node-2')] }, 1],
    ['a pod of another node is not ours to wait for', { pods: [aPod('node-1')] }, 0],
    [
      "somebody else's label in another namespace",
      { sandboxes: [aSandbox('SANDBOX_READY', { namespace: 'evil', uid: 'x' })] },
      0,
    ],
    [
      'another Migration',
      {
        sandboxes: [aSandbox('SANDBOX_READY', { label: 'other', uid: 'x' })],
        containers: [aContainer('CONTAINER_RUNNING', 'x')],
      },
      0,
    ],
  ]
  for (const [sentence, what, left] of cases) {
    it(sentence, async () => {
      const runtime = createFakeRuntime()
      runtime.sandboxes.push(...(what.sandboxes ?? []))
      runtime.containers.push(...(what.containers ?? []))
      const podUID = 'podUID' in what ? what.podUID : POD
      const suspects = { namespace: 'default', migrationUID: MIGRATION, podUID, pods: what.pods ?? [], self: 'node-2' }
      const found = new Set(await remains(runtime.cri, suspects))
      assert.equal(found.size, left, [...found].join())
    })
  }
})

describe('leftoversOf', () => {
  const name = { namespace: 'default', migrationUID: MIGRATION, container: 'main' }
  const image = `localhost:5577/podferry/default/${MIGRATION}/main:checkpoint`
  const found = [
    { name, place: 'runtime' as const },
    { name, place: 'registry' as const },
  ]
  it('keeps all of a Migration under way', () => assert.deepEqual(leftoversOf(found, new Set([MIGRATION]), []), []))
  it('keeps the alias of a pod, and nothing in the registry', () => {
    assert.deepEqual(leftoversOf(found, new Set(), [aPod('node-2', image)]), [found[1]])
  })
  it('keeps nothing that nobody needs', () => assert.deepEqual(leftoversOf(found, new Set(), [aPod('node-2')]), found))
})
