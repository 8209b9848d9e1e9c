import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pushImageArchive, writeImageArchive } from './image-archive.ts'
import { RegistryClient, sha256 } from './registry-client.ts'
import { registryMissing, startRegistry, type TestRegistry } from './testing/registry.ts'

describe('an image archive', { skip: registryMissing() }, () => {
  let registry: TestRegistry
  let folder: string
  before(async () => {
    registry = await startRegistry()
    folder = await mkdtemp(join(tmpdir(), 'podferry-image-archive-'))
  })
  after(async () => {
    await registry.stop()
    await rm(folder, { recursive: true })
  })

  const layer = async function* (content: string) {
    yield Buffer.from(content.slice(0, 2))
    yield Buffer.from(content.slice(2))
  }

  const write = (path: string) =>
    writeImageArchive({
      path,
      name: 'example:1',
      layers: [layer('lower layer'), layer('upper layer')],
      config: { Entrypoint: ['/bin/true'] },
      architecture: 'amd64',
    })

  test('is in the registry as it was written, however often it is pushed', async () => {
    const path = join(folder, 'image.tar')
    const digest = await write(path)
    const target = { path, registry, repository: 'example', tag: '1' }
    assert.equal(await pushImageArchive(target), digest)
    assert.equal(await pushImageArchive(target), digest)
    const stored = await new RegistryClient(registry).manifest('example', '1')
    assert.equal(stored?.digest, digest)
    assert.deepEqual(
      stored?.manifest.layers.map((descriptor) => descriptor.digest),
      ['lower layer', 'upper layer'].map((content) => sha256(Buffer.from(content))),
    )
  })

  test('leaves nothing beside itself', async () => {
    await write(join(folder, 'image.tar'))
    assert.deepEqual(await readdir(folder), ['image.tar'])
  })

  test('that is none is refused', async () => {
    const path = join(folder, 'other')
    await writeFile(path, Buffer.alloc(10_240))
    const pushed = pushImageArchive({ path, registry, repository: 'example', tag: '2' })
    await assert.rejects(pushed, /is no image archive/)
    await rm(path)
  })
})
