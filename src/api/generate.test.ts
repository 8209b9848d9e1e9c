import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { generatedFiles } from './generate.ts'

const ROOT = resolve(import.meta.dirname, '../..')

for (const [path, content] of Object.entries(generatedFiles())) {
  test(`${path} is what the code makes (if not: make manifests)`, async () => {
    assert.equal(await readFile(resolve(ROOT, path), 'utf8'), content)
  })

  test(`${path} names each of its files' objects in the kustomization`, async () => {
    const folder = resolve(ROOT, path, '..')
    const kustomization = await readFile(resolve(folder, 'kustomization.yaml'), 'utf8')
    assert.match(kustomization, new RegExp(`^- ${path.split('/').at(-1)?.replaceAll('.', '\\.')}$`, 'm'))
    assert.ok(parseAllDocuments(content).length > 0)
  })
}

test('no rule grants everything', () => {
  for (const content of Object.values(generatedFiles())) assert.doesNotMatch(content, /^\s*- "?\*"?$/m)
})
