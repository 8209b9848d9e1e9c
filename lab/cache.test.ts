import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

let cache: typeof import('./cache.ts')
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cache-'))
  // The cache's place is read once, at import.
  process.env.XDG_CACHE_HOME = folder
  cache = await import('./cache.ts')
})
after(() => rm(folder, { recursive: true }))

test('a build that fails leaves the former entry, and a complete one replaces it', async () => {
  const entry = { name: 'a/thing', stamp: '1' }
  const write = (text: string) => (place: string) => writeFile(join(place, 'file'), text)
  assert.equal(await cache.isFresh(entry), false)
  await cache.rebuild(entry, write('one'))
  assert.equal(await cache.isFresh(entry), true)

  const next = { ...entry, stamp: '2' }
  const killed = async (place: string) => {
    await write('half')(place)
    throw new Error('killed')
  }
  await assert.rejects(cache.rebuild(next, killed), /killed/)
  assert.equal(await cache.isFresh(next), false)
  assert.equal(await readFile(join(cache.cachePath(entry), 'file'), 'utf8'), 'one')

  await cache.rebuild(next, write('two'))
  assert.equal(await cache.isFresh(next), true)
  assert.equal(await cache.isFresh(entry), false)
  assert.equal(await readFile(join(cache.cachePath(next), 'file'), 'utf8'), 'two')
})
