import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Inventory } from '../../lab/scenario/inventory.ts'
import { growth } from './growth.ts'

const held = (mounts: number, megabytes = 80): Inventory => ({
  counts: { 'node-1': { mounts, processes: 9 }, 'node-2': { mounts: 5, processes: 9 } },
  megabytes: { 'agent on node-1': megabytes },
})

test('what stays, and what becomes less, has not grown', () => {
  assert.deepEqual(growth(held(7), held(7)), [])
  assert.deepEqual(growth(held(7), held(6)), [])
})

test('one mount more on one node is growth', () => {
  assert.deepEqual(growth(held(7), held(8)), ['node-1: mounts: 7 became 8'])
})

test('a look that failed is no proof', () => {
  assert.equal(growth(held(7), held(Number.NaN)).length, 1)
})

test('memory may breathe, not grow', () => {
  assert.deepEqual(growth(held(7, 80), held(7, 90)), [])
  assert.deepEqual(growth(held(7, 80), held(7, 120)), ['agent on node-1: 80 MB became 120 MB'])
})
