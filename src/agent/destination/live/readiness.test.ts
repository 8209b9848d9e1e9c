import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '../../../api/pod.ts'
import { errorOf, judgeReadiness } from './readiness.ts'

const NOW = 1_000_000
const aPod = (reason: string, phase = 'Pending'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u', resourceVersion: '1', creationTimestamp: '' },
  spec: { containers: [] },
  status: {
    phase,
    containerStatuses: [
      {
        name: 'a',
        image: 'i',
        imageID: '',
        restartCount: 0,
        ready: false,
        state: { waiting: { reason, message: 'why' } },
      },
    ],
  },
})

describe('judgeReadiness', () => {
  const judge = (waits: boolean, pod?: Pod, failingMs?: number, missingImages: string[] = []) =>
    judgeReadiness({
      ...{ first: 'a', waits, missingImages, pod, now: NOW },
      failingSince: failingMs === undefined ? undefined : NOW - failingMs,
    })
  const cases: [sentence: string, found: ReturnType<typeof judge>, status: string, reason: string][] = [
    ['the first one waits', judge(true), 'True', 'Waiting'],
    ['the image of a later one is missing', judge(true, undefined, 0, ['i@sha256:1']), 'Unknown', 'ImagesMissing'],
    ['nobody waits', judge(false), 'Unknown', 'Preparing'],
    ['an error may pass', judge(false, aPod('CreateContainerError'), 29_000), 'Unknown', 'Preparing'],
    ['an error that stays', judge(false, aPod('CreateContainerError'), 30_000), 'False', 'CreateContainerError'],
    ['kubelet gave up', judge(false, aPod('', 'Failed')), 'False', 'PodFailed'],
  ]
  for (const [sentence, found, status, reason] of cases) {
    it(`${sentence}: ${status}`, () => assert.deepEqual([found.status, found.reason], [status, reason]))
  }
  it('leaves images to the controller', () => assert.equal(errorOf(aPod('ImagePullBackOff')), undefined))
  it('names container and error', () => {
    assert.equal(errorOf(aPod('RunContainerError'))?.message, 'container a: RunContainerError: why')
  })
})
