import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { judgeRestores, nextToOpen, type RestoreView } from './verdict.ts'

const NOW = 1_000_000
const aView = (changes: Partial<RestoreView> = {}): RestoreView => ({
  ...{ name: 'main', stagedFor: 'id', waitingID: 'id', alive: true, usedAt: undefined, outcome: undefined },
  ...{ finished: false, lazy: { is: 'running', pid: 1 } },
  ...changes,
})
const restored = (name: string, at: bigint) =>
  aView({ name, alive: false, usedAt: NOW, finished: true, outcome: { restored: true, code: 0, at } })

const AT = BigInt(NOW) * 1_000_000n
const FAILED = { restored: false, code: 1, at: 1n }
/** Of a pod of two containers, while kubelet has not made it. */
const LATER = aView({ name: 'b', stagedFor: undefined, waitingID: undefined, alive: false })

describe('judgeRestores', () => {
  const cases: [sentence: string, views: RestoreView[], verdict: string][] = [
    ['waits at the gate', [aView()], 'waiting'],
    ['runc restores', [aView({ usedAt: NOW - 1000 })], 'waiting'],
    ['all pages came before runc was done', [aView({ usedAt: NOW, lazy: { is: 'ended', exitCode: 0 } })], 'waiting'],
    ['one of two is restored', [restored('a', AT), aView({ name: 'b', usedAt: NOW })], 'waiting'],
    ['both run', [restored('a', AT), restored('b', AT)], 'restored'],
    ['the second is not made before the first', [aView(), LATER], 'waiting'],
    ['kubelet is about to make the second', [restored('a', AT), LATER], 'waiting'],
    [
      'the second waits, its layer not in place',
      [restored('a', AT), { ...LATER, waitingID: 'id', alive: true }],
      'waiting',
    ],
    ['kubelet does not make the second', [restored('a', AT - 60_000_000_000n), LATER], 'RestoreTimedOut'],
    [
      'the second one’s daemon died while it was not made',
      [aView(), { ...LATER, lazy: { is: 'lost' } }],
      'LazyPagesLost',
    ],
    [
      'the second one was made twice',
      [restored('a', AT), aView({ name: 'b', waitingID: 'other' })],
      'ContainerReplaced',
    ],
    ['the second one fails', [restored('a', AT), aView({ usedAt: NOW, outcome: FAILED })], 'RestoreFailed'],
    ['runs, and its program has ended since', [{ ...restored('a', 1n), lazy: { is: 'lost' } }], 'restored'],
    ['success without CRIU’s word', [{ ...restored('a', 1n), finished: false }], 'NotFromCheckpoint'],
    ['runc failed', [aView({ usedAt: NOW, outcome: FAILED })], 'RestoreFailed'],
    ['wrapper and runc were killed', [aView({ usedAt: NOW, alive: false })], 'RestoreLost'],
    ['runc hangs', [aView({ usedAt: NOW - 61_000 })], 'RestoreTimedOut'],
    ['the daemon died beside runc', [aView({ usedAt: NOW, lazy: { is: 'ended', exitCode: 1 } })], 'LazyPagesLost'],
    ['the daemon died before', [aView({ lazy: { is: 'lost' } })], 'LazyPagesLost'],
    ['all memory is among the images, and the gate is closed', [aView({ lazy: undefined })], 'waiting'],
    ['runc reads all memory from the disk', [aView({ lazy: undefined, usedAt: NOW - 109_000 })], 'waiting'],
    ['it takes too long', [aView({ lazy: undefined, usedAt: NOW - 111_000 })], 'RestoreTimedOut'],
    ['the daemon never was', [aView({ lazy: { is: 'absent' } })], 'LazyPagesLost'],
    ['the wrapper gave up', [aView({ alive: false })], 'ContainerReplaced'],
    ['another attempt waits', [aView({ waitingID: 'other' })], 'ContainerReplaced'],
    ['the node has rebooted', [aView({ stagedFor: undefined, waitingID: undefined, alive: false })], 'StagingLost'],
  ]
  for (const [sentence, views, expected] of cases) {
    it(`${sentence}: ${expected}`, () => {
      const verdict = judgeRestores(views, NOW)
      assert.equal(verdict.kind === 'failed' ? verdict.reason : verdict.kind, expected)
    })
  }

  it('counts from the last container', () => {
    const verdict = judgeRestores([restored('a', 1n), restored('b', 1_700_000_000_000_000_002n)], NOW)
    assert.deepEqual(verdict, { kind: 'restored', restoredAt: '2023-11-14T22:13:20.000000002Z' })
  })

  it('opens the gates in kubelet’s order, each when the one before is restored', () => {
    const [waits, other] = [aView(), { ...LATER, waitingID: 'id', alive: true }]
    assert.equal(nextToOpen([waits])?.name, 'main')
    assert.equal(nextToOpen([waits, other])?.name, 'main')
    assert.equal(nextToOpen([restored('a', AT), other])?.name, 'b')
    assert.equal(nextToOpen([restored('a', AT), LATER]), undefined)
    assert.equal(nextToOpen([aView({ usedAt: NOW }), other]), undefined)
    assert.equal(nextToOpen([restored('a', AT), restored('b', AT)]), undefined)
  })
})
