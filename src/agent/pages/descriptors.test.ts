import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, writeSync } from 'node:fs'
import { test } from 'node:test'
import { createDescriptors } from './descriptors.ts'

test('an open file of another process outlives that process', async () => {
  const { take } = await createDescriptors()
  const child = spawn('cat', { stdio: ['pipe', 'pipe', 'ignore'] })
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  const own = take(child.pid ?? 0, 1)
  child.kill('SIGKILL')
  await once(child, 'exit')
  writeSync(own, 'still there')
  closeSync(own)
  await once(child, 'close')
  assert.equal(said, 'still there')
})

test('what the kernel does not give is said in its words', async () => {
  const { take } = await createDescriptors()
  assert.throws(() => take(process.pid, 9999), { message: 'pidfd_getfd: EBADF' })
  assert.throws(() => take(0x3fffffff, 0), { message: /^pidfd_open: E(SRCH|INVAL)$/ })
})
