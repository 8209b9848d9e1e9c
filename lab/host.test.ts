import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requireRootOnLinux } from './host.ts'
import type { LabError } from './lab-error.ts'

test('another system and another user are refused in one sentence with exit code 2', () => {
  const refused = (pattern: RegExp) => (error: LabError) =>
    pattern.test(error.message) && error.exitCode === 2 && !error.message.includes('\n')
  assert.throws(() => requireRootOnLinux('darwin', 0), refused(/this is darwin/))
  assert.throws(() => requireRootOnLinux('linux', 1000), refused(/needs root/))
  requireRootOnLinux('linux', 0)
})
