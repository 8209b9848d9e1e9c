import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findPeer } from './local-peer.ts'

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 3 1
`

test('the other end, not our own', () => {
  assert.deepEqual(findPeer(table, 0xc350, 0x1f90), { user: 1000, inode: '3' })
  assert.deepEqual(findPeer(table, 0x1f90, 0xc350), { user: 0, inode: '2' })
  assert.equal(findPeer(table, 1, 2), undefined)
})
