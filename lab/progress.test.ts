import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { formatDuration, formatEstimate, formatRunning, runSteps } from './progress.ts'

test('durations are exact and estimates are round', () => {
  assert.deepEqual([4.4, 45, 130, 3900].map(formatDuration), ['4s', '45s', '2m10s', '1h05m'])
  assert.deepEqual([0, 12, 58, 61, 400].map(formatEstimate), ['5s', '15s', '60s', '2m', '7m'])
})

test('a running step tells the time gone, the time left and the steps to go', () => {
  const at = { index: 3, total: 7, name: 'build Kubernetes 1.34.4', elapsed: 130, estimate: 540, later: 10, toGo: 4 }
  assert.equal(formatRunning(at), '[3/7] build Kubernetes 1.34.4 … 2m10s, about 7m left, 4 steps to go')
})

test('a step that takes longer than estimated does not go below zero', () => {
  const at = { index: 7, total: 7, name: 'runc', elapsed: 90, estimate: 30, later: 0, toGo: 0 }
  assert.equal(formatRunning(at), '[7/7] runc … 1m30s, about 5s left, last step')
})

class Collected extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

test('without a terminal, steps give plain lines and cached ones do not run', async () => {
  const out = new Collected()
  const ran: string[] = []
  const step = (name: string, cached: boolean) => ({
    name,
    estimate: 1,
    done: async () => cached,
    run: async () => void ran.push(name),
  })
  await runSteps([step('a', true), step('b', false)], out)
  assert.deepEqual(ran, ['b'])
  assert.match(out.text, /^\[1\/2\] a: cached\n\[2\/2\] b … 0s, about 5s left, last step\n\[2\/2\] b: done in 0s\n$/)
})

test('a failed step is shown as failed and stops the run', async () => {
  const out = new Collected()
  const fail = { name: 'a', estimate: 1, done: async () => false, run: () => Promise.reject(new Error('no disk')) }
  await assert.rejects(runSteps([fail], out), /no disk/)
  assert.match(out.text, /a: failed after 0s/)
})
