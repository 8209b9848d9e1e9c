import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { MODES, specSchema } from '../api/migration.ts'
import { cliReference } from './reference.ts'

const reference = await cliReference()

test('docs/cli.md is what the code makes (if not: make manifests)', async () => {
  assert.equal(await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8'), reference)
})

test('it has every command and every role', () => {
  for (const name of ['migrate', 'status', 'list', 'cancel', 'version', 'controller', 'agent', 'event-handler']) {
    assert.match(reference, new RegExp(`^##+ podferry ${name}$`, 'm'))
  }
})

test('the choices of migrate are those of the API', () => {
  assert.ok(reference.includes(`(choices: ${MODES.map((mode) => `"${mode}"`).join(', ')})`))
  const connections = specSchema.shape.connections.unwrap().options
  assert.ok(reference.includes(`(choices: ${connections.map((word) => `"${word}"`).join(', ')})`))
})
