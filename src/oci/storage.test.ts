import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { MANIFEST_TYPE } from './media-types.ts'
import { RegistryClient } from './registry-client.ts'
import { removeCheckpointRepository } from './storage.ts'

const name = { namespace: 'default', migrationUID: '5f2a1c3e-0000-4000-8000-000000000001', container: 'main' }
const down = () => new RegistryClient({ url: 'http://127.0.0.1:9' })
const [MANIFEST, CONFIG, LAYER] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string]

const blob = (hex: string) => `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}`
const repository = `docker/registry/v2/repositories/podferry/default/${name.migrationUID}/main`

/** A storage folder as distribution lays it out, with one image in it and a foreign folder beside it. */
async function storage(t: TestContext) {
  const scratch = await mkdtemp(join(tmpdir(), 'podferry-storage-'))
  t.after(() => rm(scratch, { recursive: true }))
  const [root, outside] = [join(scratch, 'root'), join(scratch, 'outside')]
  const put = async (path: string, content = '') => {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  const descriptor = (hex: string) => ({ mediaType: '', digest: `sha256:${hex}`, size: 1 })
  const manifest = { mediaType: MANIFEST_TYPE, config: descriptor(CONFIG), layers: [descriptor(LAYER)] }
  await put(`${blob(MANIFEST)}/data`, JSON.stringify(manifest))
  await put(`${blob(CONFIG)}/data`)
  await put(`${blob(LAYER)}/data`)
  await put(`${repository}/_manifests/revisions/sha256/${MANIFEST}/link`)
  await put(`${repository}/_layers/sha256/${CONFIG}/link`)
  await put(`${repository}/_layers/sha256/${LAYER}/link`)
  await put(`${repository}/_uploads/1/data`, 'memory')
  await mkdir(outside)
  await writeFile(join(outside, 'data'), 'not ours')
  const files = async () =>
    (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => !entry.isDirectory()).length
  return {
    root,
    outside,
    put,
    files,
    remove: () => removeCheckpointRepository({ ...name, storageRoot: root, registry: down() }),
  }
}

test('nothing is left, not even folders of the namespace', async (t) => {
  const { root, files, remove } = await storage(t)
  await remove()
  assert.equal(await files(), 0)
  assert.deepEqual(await readdir(join(root, 'docker/registry/v2/repositories/podferry')), [])
  await remove()
})

test('a removal that broke off in the middle is finished by the next', async (t) => {
  const { root, put, files, remove } = await storage(t)
  // Stands in for a kill: the last blob can't be removed.
  await rm(join(root, blob(LAYER)), { recursive: true })
  await symlink('/nowhere', join(root, blob(LAYER)))
  await assert.rejects(remove(), { reason: 'RegistryStorage' })
  assert.ok(await stat(join(root, repository, '_layers/sha256', LAYER)), 'the list of what is left to do is there')
  await unlink(join(root, blob(LAYER)))
  await put(`${blob(LAYER)}/data`)
  await remove()
  assert.equal(await files(), 0)
})

test('layers are found by the manifest when their links were deleted first', async (t) => {
  const { root, files, remove } = await storage(t)
  await rm(join(root, repository, '_layers'), { recursive: true })
  await remove()
  assert.equal(await files(), 0)
})

for (const way of [repository, dirname(repository), 'docker/registry', blob(CONFIG), dirname(blob(CONFIG))]) {
  test(`a symbolic link at ${way} leads nowhere`, async (t) => {
    const { root, outside, remove } = await storage(t)
    await rm(join(root, way), { recursive: true })
    await symlink(outside, join(root, way))
    await assert.rejects(remove(), { reason: 'RegistryStorage', message: /symbolic link/ })
    assert.deepEqual(await readdir(outside), ['data'])
  })
}

test('a partial upload without any image goes too', async (t) => {
  const { root, files, remove } = await storage(t)
  for (const path of [`${repository}/_manifests`, `${repository}/_layers`, 'docker/registry/v2/blobs'])
    await rm(join(root, path), { recursive: true })
  assert.equal(await files(), 1)
  await remove()
  assert.equal(await files(), 0)
})

test('the folder of another container of the same Migration stays', async (t) => {
  const { root, put, remove } = await storage(t)
  const other = `${dirname(repository)}/sidecar/_uploads/1/data`
  await put(other)
  await remove()
  assert.ok(await stat(join(root, other)))
})
