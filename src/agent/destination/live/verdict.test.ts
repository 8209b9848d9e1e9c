import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { judgeRestores, type RestoreView } from './verdict.ts'

const NOW = 1_000_000
const aView = (changes: Partial<RestoreView> = {}): RestoreView => ({
  ...{ name: 'main', stagedFor: 'id', waitingID: 'id', alive: true, usedAt: undefined, outcome: undefined },
  ...{ finished: false, lazy: { is: 'running', pid: 1 } },
  ...changes,
})
const restored = (name: string, at: bigint) =>
  aView({ name, alive: false, usedAt: NOW, finished: true, outcome: { restored: true, code: 0, at } })

describe('judgeRestores', () => {
  const cases: [sentence: string, views: RestoreView[], verdict: string][] = [
    ['waits at the gate', [aView()], 'waiting'],
    ['runc restores', [aView({ usedAt: NOW - 1000 })], 'waiting'],
    ['all pages came before runc was done', [aView({ usedAt: NOW, lazy: { is: 'ended', exitCode: 0 } })], 'waiting'],
    ['one of two runs', [restored('a', 1n), aView({ name: 'b', usedAt: NOW })], 'waiting'],
    ['both run', [restored('a', 1n), restored('b', 2n)], 'restored'],
    ['runs, and its program has ended since', [{ ...restored('a', 1n), lazy: { is: 'lost' } }], 'restored'],
    ['success without CRIU’s word', [{ ...restored('a', 1n), finished: false }], 'NotFromCheckpoint'],
    ['runc failed', [aView({ usedAt: NOW, outcome: { restored: false, code: 1, at: 1n } })], 'RestoreFailed'],
    ['wrapper and runc were killed', [aView({ usedAt: NOW, alive: false })], 'RestoreLost'],
    ['runc hangs', [aView({ usedAt: NOW - 61_000 })], 'RestoreTimedOut'],
    ['the daemon died beside runc', [aView({ usedAt: NOW, lazy: { is: 'ended', exitCode: 1 } })], 'LazyPagesLost'],
    ['the daemon died before', [aView({ lazy: { is: 'lost' } })], 'LazyPagesLost'],
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
    const verdict = judgeRestores([restored('a', 1_700_000_000_000_000_002n), restored('b', 1n)], NOW)
    assert.deepEqual(verdict, { kind: 'restored', restoredAt: '2023-11-14T22:13:20.000000002Z' })
  })

  it('says what is undone when only some were restored', () => {
    const verdict = judgeRestores([restored('a', 1n), aView({ name: 'b', usedAt: NOW, alive: false })], NOW)
    assert.match(verdict.kind === 'failed' ? verdict.message : '', /container b.*what a did at the destination.*undone/)
  })
})
