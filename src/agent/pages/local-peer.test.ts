import assert from 'node:assert/strict'
import { test } from 'node:test'
import { userOf } from './local-peer.ts'

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 3 1
`

test('the user of the other end, not of our own', () => {
  assert.equal(userOf(table, 0xc350, 0x1f90), 1000)
  assert.equal(userOf(table, 0x1f90, 0xc350), 0)
  assert.equal(userOf(table, 1, 2), undefined)
})
