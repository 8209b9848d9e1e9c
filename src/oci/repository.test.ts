import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkpointImageReference, checkpointRepository, parseCheckpointRepository } from './repository.ts'

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
const names = fc.record({ namespace: label, migrationUID: fc.uuid(), container: label })

test('what was built is parsed back', () => {
  fc.assert(
    fc.property(names, (name) => assert.deepEqual(parseCheckpointRepository(checkpointRepository(name)), { ...name })),
  )
})

test('nothing but a checkpoint repository is parsed, and never throws', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parseCheckpointRepository(text)
      if (parsed) assert.equal(checkpointRepository(parsed), text)
    }),
  )
})

const UID = '5f2a1c3e-0000-4000-8000-000000000001'
const HOSTILE: [string, string, string][] = [
  ['..', UID, 'main'],
  ['default', '../../etc', 'main'],
  ['default', UID, 'main/../../x'],
  ['Default', UID, 'main'],
  ['default', UID.toUpperCase(), 'main'],
  ['default', UID, 'a'.repeat(64)],
  ['default', UID, ''],
]

for (const [namespace, migrationUID, container] of HOSTILE) {
  test(`refused: ${namespace}/${migrationUID}/${container}`, () =>
    assert.throws(() => checkpointRepository({ namespace, migrationUID, container }), RangeError))
}

test('the runtime pulls from its own node', () =>
  assert.equal(
    checkpointImageReference({ namespace: 'default', migrationUID: UID, container: 'main' }),
    `localhost:5577/podferry/default/${UID}/main:checkpoint`,
  ))
