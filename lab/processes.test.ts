import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identityOf, isAlive, parentOf, parseStat } from './processes.ts'

test('a program name with spaces and parentheses does not shift the fields', () => {
  const line = '42 (a) S (b c) Z 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2'
  assert.deepEqual(parseStat(line), { pid: 42, state: 'Z', startTime: '98765' })
  assert.equal(parentOf(line), 1)
})

test('a process is alive only with its own start time', async () => {
  const self = await identityOf(process.pid)
  assert.ok(self)
  assert.equal(await isAlive(self), true)
  assert.equal(await isAlive({ ...self, startTime: '1' }), false)
})
