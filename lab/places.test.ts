import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instanceSuffix, nodeAddress, podRange } from './places.ts'

test('an instance is told by a short plain name, which becomes part of paths', () => {
  assert.equal(instanceSuffix(undefined), '')
  assert.equal(instanceSuffix(''), '')
  assert.equal(instanceSuffix('test'), '-test')
  for (const name of ['../x', 'A', 'a-b', 'x'.repeat(17)]) assert.throws(() => instanceSuffix(name), /small letters/)
})

test('each node has its own address and pod range', () => {
  assert.deepEqual([nodeAddress('node-1'), podRange('node-1')], ['10.77.0.11', '10.244.1.0/24'])
  assert.deepEqual([nodeAddress('node-2'), podRange('node-2')], ['10.77.0.12', '10.244.2.0/24'])
})
