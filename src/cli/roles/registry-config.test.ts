import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { registryConfigCommand } from './registry-config.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podferry-registry-config-'))
})
after(() => rm(folder, { recursive: true }))

const path = (...names: string[]) => join(folder, ...names)
const mode = async (...names: string[]) => ((await stat(path(...names))).mode & 0o777).toString(8)

async function write(): Promise<string> {
  const args = ['--out', path('out'), '--storage', path('storage')]
  await registryConfigCommand().parseAsync(args, { from: 'user' })
  return await readFile(path('out', 'token'), 'utf8')
}

test('the registry sends the token that the event handler expects, and only to the loopback', async () => {
  const token = await write()
  const config = parse(await readFile(path('out', 'registry.yml'), 'utf8'))
  assert.match(token, /^[0-9a-f]{64}$/)
  assert.deepEqual(config.notifications.endpoints[0].headers.Authorization, [`Bearer ${token}`])
  assert.equal(config.notifications.endpoints[0].url, 'http://127.0.0.1:5579/events')
  assert.equal(config.http.addr, '127.0.0.1:5577')
  assert.equal(config.storage.filesystem.rootdirectory, path('storage'))
  assert.equal(config.storage.delete.enabled, true)
})

test('nobody but the owner reads token, configuration and images', async () => {
  await write()
  assert.deepEqual(await Promise.all([mode('out', 'token'), mode('out', 'registry.yml'), mode('storage')]), [
    '600',
    '600',
    '700',
  ])
})

test('each call makes another token', async () => {
  assert.notEqual(await write(), await write())
})
