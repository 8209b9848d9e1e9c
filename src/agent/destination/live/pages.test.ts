import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JobState } from '../../jobs/jobs.ts'
import type { KeeperState } from '../../pages/keeper-state.ts'
import { judgePages } from './pages.ts'

const aKeeper = (changes: Partial<KeeperState> = {}): KeeperState => ({
  ...{ phase: 'open', connected: true, sentBytes: 1, receivedBytes: 10, silentMs: 0, port: 1 },
  ...changes,
})
const running: JobState = { is: 'running', pid: 1 }
const done: JobState = { is: 'ended', exitCode: 0 }

describe('judgePages', () => {
  const cases: [sentence: string, lazy: JobState, keeper: KeeperState | undefined, verdict: string][] = [
    ['pages come', running, aKeeper(), 'pending'],
    ['the link is cut for less than a minute', running, aKeeper({ connected: false, silentMs: 59_000 }), 'pending'],
    ['the link is cut for longer', running, aKeeper({ connected: false, silentMs: 61_000 }), 'lost'],
    ['the keeper is gone', running, undefined, 'lost'],
    ['the keeper was cut off by the source', running, aKeeper({ phase: 'failed' }), 'lost'],
    ['all is there', done, aKeeper({ phase: 'finished' }), 'arrived'],
    ['all is there, the keeper is gone', done, undefined, 'arrived'],
    ['all is there, the link is cut', done, aKeeper({ silentMs: 61_000 }), 'arrived'],
    ['the daemon failed', { is: 'ended', exitCode: 1 }, aKeeper(), 'lost'],
    ['the daemon was killed', { is: 'ended', exitCode: 137 }, aKeeper(), 'lost'],
    ['the daemon vanished', { is: 'lost' }, aKeeper(), 'lost'],
    ['the node has rebooted', { is: 'absent' }, undefined, 'lost'],
  ]
  for (const [sentence, lazy, keeper, kind] of cases) {
    it(`${sentence}: ${kind}`, () => assert.equal(judgePages([{ name: 'a', lazy, keeper }]).kind, kind))
  }

  it('waits for the last container, and counts what all have got', () => {
    const views = [
      { name: 'a', lazy: done, keeper: aKeeper() },
      { name: 'b', lazy: running, keeper: aKeeper({ receivedBytes: 5 }) },
    ]
    assert.deepEqual(judgePages(views), { kind: 'pending', receivedBytes: 15 })
  })
})
