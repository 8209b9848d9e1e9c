import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import type { CriContainer } from '../runtime/cri.ts'
import { isFinal, judgeRestore, type RestoreView, toTimestamp } from './observe.ts'

const IMAGE = 'localhost:5577/podferry/default/5f2a1c3e-0000-4000-8000-000000000001/main:checkpoint'
const CREATED = '2026-01-01T00:00:00Z'
const NOW = Date.parse(CREATED) + 5_000
const AT = '1767225601234567890'

const anAttempt = (changes: Partial<CriContainer> & { name?: string } = {}): CriContainer => ({
  id: 'a'.repeat(64),
  metadata: { name: changes.name ?? 'main', attempt: 0 },
  state: 'CONTAINER_RUNNING',
  createdAt: AT,
  startedAt: AT,
  finishedAt: '0',
  exitCode: 0,
  reason: '',
  message: '',
  labels: {},
  annotations: { restored: 'true', checkpointImage: changes.name === 'side' ? IMAGE.replace('main', 'side') : IMAGE },
  ...changes,
})
const failedStart = anAttempt({
  state: 'CONTAINER_EXITED',
  startedAt: '0',
  reason: 'StartError',
  message: 'failed to restore containerd task: criu failed: type NOTIFY errno 0',
})
const cold = anAttempt({ annotations: { 'io.kubernetes.container.hash': 'x' } })

const aPod = (status: Pod['status'] = { phase: 'Pending' }): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u', resourceVersion: '1', creationTimestamp: CREATED },
  spec: { containers: [] },
  status,
})
const waiting = (reason: string, message = ''): Pod =>
  aPod({
    phase: 'Pending',
    containerStatuses: [
      { name: 'main', image: '', imageID: '', restartCount: 0, ready: false, state: { waiting: { reason, message } } },
    ],
  })

const judge = (changes: Partial<RestoreView>) =>
  judgeRestore({
    ...{ pod: aPod(), attempts: [], expected: new Map([['main', IMAGE]]), failingSince: undefined, now: NOW },
    ...changes,
  })
const both = new Map([
  ['main', IMAGE],
  ['side', IMAGE.replace('main', 'side')],
])

describe('judgeRestore', () => {
  const cases: [sentence: string, view: Partial<RestoreView>, kind: string, match?: RegExp][] = [
    ['waits for the pod', { pod: undefined }, 'waiting'],
    ['waits for kubelet to begin', {}, 'waiting'],
    [
      'waits while the container is only created',
      { attempts: [anAttempt({ state: 'CONTAINER_CREATED', startedAt: '0' })] },
      'waiting',
    ],
    ['sees a restored container', { attempts: [anAttempt()] }, 'restored'],
    ['sees one although it has ended since', { attempts: [anAttempt({ state: 'CONTAINER_EXITED' })] }, 'restored'],
    ['sees one that needed a second attempt', { attempts: [failedStart, anAttempt()] }, 'restored'],
    [
      'sees one although its pod has ended',
      { attempts: [anAttempt({ state: 'CONTAINER_EXITED' })], pod: aPod({ phase: 'Succeeded' }) },
      'restored',
    ],
    [
      'believes an old kubelet that tells no image name',
      { attempts: [anAttempt({ annotations: { restored: 'true', checkpointImage: '' } })] },
      'restored',
    ],
    ['calls a cold start a failure', { attempts: [cold] }, 'failed', /ColdStart.*afresh/],
    ['calls it one though it has ended', { attempts: [{ ...cold, state: 'CONTAINER_EXITED' }] }, 'failed', /ColdStart/],
    [
      'does not mind a restart after the restore',
      { attempts: [{ ...cold, startedAt: `${BigInt(AT) + 1n}` }, anAttempt({ state: 'CONTAINER_EXITED' })] },
      'restored',
    ],
    [
      'does not let a restore make up for a cold start before it',
      { attempts: [anAttempt(), { ...cold, startedAt: `${BigInt(AT) - 1n}` }] },
      'failed',
      /ColdStart/,
    ],
    [
      'does not take the mark of an earlier move',
      { attempts: [anAttempt({ annotations: { restored: 'true', checkpointImage: 'localhost:5577/other' } })] },
      'failed',
      /ColdStart/,
    ],
    [
      'does not take any other value for the mark',
      { attempts: [anAttempt({ annotations: { restored: 'false', checkpointImage: IMAGE } })] },
      'failed',
      /ColdStart/,
    ],
    [
      'ignores containers that are not moved',
      { attempts: [anAttempt({ name: 'sidecar', annotations: {} })] },
      'waiting',
    ],
    ['waits for every container', { attempts: [anAttempt()], expected: both }, 'waiting'],
    ['sees all of them', { attempts: [anAttempt(), anAttempt({ name: 'side' })], expected: both }, 'restored'],
    ['gives a failed start a second chance', { attempts: [failedStart] }, 'waiting'],
    [
      'gives up after the second',
      { attempts: [failedStart, { ...failedStart, id: 'b' }] },
      'failed',
      /RestoreFailed.*container main: failed to restore containerd task/,
    ],
    [
      'gives up when the first stays alone for long',
      { attempts: [failedStart], failingSince: NOW - 15_000 },
      'failed',
      /RestoreFailed/,
    ],
    [
      'gives up at once when kubelet does',
      { attempts: [failedStart], pod: aPod({ phase: 'Failed' }) },
      'failed',
      /PodFailed.*criu failed/,
    ],
    [
      'tells what admission on the node said',
      { pod: aPod({ phase: 'Failed', reason: 'OutOfcpu', message: 'Node did not have enough' }) },
      'failed',
      /PodFailed.*OutOfcpu: Node did not/,
    ],
    [
      'waits while an error is young',
      { pod: waiting('CreateContainerError', 'image not found'), failingSince: NOW - 14_000 },
      'waiting',
    ],
    [
      'gives up when an error stays',
      { pod: waiting('CreateContainerError', 'restore via CreateContainer is disabled'), failingSince: NOW - 15_000 },
      'failed',
      /RestoreFailed.*disabled/,
    ],
    ['does not count ordinary waiting', { pod: waiting('ContainerCreating'), failingSince: NOW - 60_000 }, 'waiting'],
    ['gives up when nothing happens for minutes', { now: NOW + 10 * 60_000 }, 'failed', /RestoreTimedOut/],
    [
      'says that work is undone when one of two ran',
      {
        attempts: [anAttempt(), { ...failedStart, metadata: { name: 'side', attempt: 0 } }],
        expected: both,
        pod: aPod({ phase: 'Failed' }),
      },
      'failed',
      /main did at the destination meanwhile is undone/,
    ],
  ]
  for (const [sentence, view, kind, match = /.*/] of cases) {
    it(sentence, () => {
      const verdict = judge(view)
      assert.equal(verdict.kind, kind, JSON.stringify(verdict))
      if (verdict.kind === 'failed') assert.match(`${verdict.reason} ${verdict.message}`, match)
    })
  }

  it('takes the first run of each container and the last of all of them', () => {
    const attempts = [
      anAttempt({ startedAt: '1767225601000000000' }),
      anAttempt({ startedAt: '1767225609000000000' }),
      anAttempt({ name: 'side', startedAt: '1767225602000000001' }),
    ]
    assert.deepEqual(judge({ attempts, expected: both }), {
      kind: 'restored',
      restoredAt: '2026-01-01T00:00:02.000000001Z',
    })
  })

  it('says while waiting whether something is wrong', () => {
    assert.deepEqual(judge({ pod: waiting('CreateContainerError') }), { kind: 'waiting', failing: true })
    assert.deepEqual(judge({ pod: waiting('ContainerCreating') }), { kind: 'waiting', failing: false })
  })
})

describe('toTimestamp', () => {
  it('keeps every nanosecond', () => assert.equal(toTimestamp(BigInt(AT)), '2026-01-01T00:00:01.234567890Z'))
})

describe('isFinal', () => {
  const failing = { pod: waiting('ImagePullBackOff'), failingSince: NOW - 20_000 }
  const created = anAttempt({ state: 'CONTAINER_CREATED', startedAt: '0' })
  const cases: [sentence: string, view: Partial<RestoreView>, final: boolean][] = [
    ['a pull that fails is final once the image is gone', failing, true],
    ['a container that was created meanwhile may still start', { ...failing, attempts: [created] }, false],
    ['a container that began to run meanwhile was restored', { ...failing, attempts: [anAttempt()] }, false],
    ['a cold start stays one', { attempts: [cold] }, true],
  ]
  for (const [sentence, changes, final] of cases) {
    it(sentence, () => {
      const rest = {
        pod: aPod(),
        attempts: [],
        expected: new Map([['main', IMAGE]]),
        failingSince: undefined,
        now: NOW,
      }
      assert.equal(isFinal({ ...rest, ...changes }), final)
    })
  }
})
