import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runcErrors } from './runc-log.ts'

test('of a failed dump only the error of runc is told', () => {
  const log = `d \\""
time="2026-11-23T07:30:07Z" level=warning msg="632:(00.142021) Handling VMA with the following smaps entry: 7f6c rw-s 00:10 4144810   anon_inode:[io_uring]"
time="2026-11-23T07:30:07Z" level=warning msg="642:(00.146266) Error (criu/cr-dump.c:1975): Dumping FAILED."
time="2026-11-23T07:30:07Z" level=warning msg=---
time="2026-11-23T07:30:07Z" level=error msg="criu failed: type DUMP \\"lazy\\" errno 0"
`
  assert.equal(runcErrors(log), 'criu failed: type DUMP "lazy" errno 0')
})

test('words that are no log are told as they are', () => {
  assert.equal(runcErrors('no such container\n'), 'no such container')
  assert.equal(runcErrors('level=error msg=exhausted'), 'exhausted')
  assert.equal(runcErrors(''), '')
})
