import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { checkpointManifest, pushCheckpointImage } from './checkpoint-image.ts'
import { pushImage } from './image-writer.ts'
import { RegistryClient, sha256 } from './registry-client.ts'
import { checkpointRepository } from './repository.ts'
import { removeCheckpointRepository } from './storage.ts'
import { registryMissing, startRegistry, type TestRegistry } from './testing/registry.ts'

const skip = registryMissing()
let registry: TestRegistry

before(async () => {
  if (!skip) registry = await startRegistry()
})
after(() => registry?.stop())

const aName = (container = 'main') => ({ namespace: 'default', migrationUID: randomUUID(), container })

async function* archive(chunks: number, fill = 'x'): AsyncGenerator<Buffer> {
  for (let i = 0; i < chunks; i++) yield Buffer.alloc(1 << 16, `${fill}${i}`)
}

const push = (name: ReturnType<typeof aName>, chunks: AsyncIterable<Uint8Array> = archive(16), signal?: AbortSignal) =>
  pushCheckpointImage({
    registry: { url: registry.url },
    ...name,
    archive: chunks,
    architecture: 'amd64',
    ...(signal ? { signal } : {}),
  })

const blobsOnDisk = async () =>
  (await readdir(join(registry.storage, 'docker/registry/v2/blobs'), { recursive: true }).catch(() => [])).filter(
    (path) => path.endsWith('data'),
  )

test('the archive arrives byte for byte as the only layer, with both annotations', { skip }, async () => {
  const name = aName()
  const pushed = await push(name)
  const hash = createHash('sha256')
  for await (const chunk of archive(16)) hash.update(chunk)
  assert.equal(pushed.layerDigest, `sha256:${hash.digest('hex')}`)
  assert.equal(pushed.size, 1 << 20)
  const found = await new RegistryClient({ url: registry.url }).manifest(checkpointRepository(name), 'checkpoint')
  assert.equal(found?.digest, pushed.manifestDigest)
  assert.deepEqual(
    found.manifest.annotations,
    checkpointManifest('main', found.manifest.config, found.manifest.config).annotations,
  )
  assert.equal(found.manifest.layers.length, 1)
})

test('removal frees every byte of one image and none of another', { skip }, async () => {
  const [mine, other] = [aName(), aName()]
  const before = (await blobsOnDisk()).length
  await push(mine, archive(16, mine.migrationUID))
  const kept = await push(other, archive(3, other.migrationUID))
  await removeCheckpointRepository({
    ...mine,
    storageRoot: registry.storage,
    registry: new RegistryClient({ url: registry.url }),
  })
  await removeCheckpointRepository({
    ...mine,
    storageRoot: registry.storage,
    registry: new RegistryClient({ url: registry.url }),
  })
  // The other image's layer, config and manifest.
  assert.equal((await blobsOnDisk()).length, before + 3)
  assert.equal(
    (await new RegistryClient({ url: registry.url }).manifest(checkpointRepository(other), 'checkpoint'))?.digest,
    kept.manifestDigest,
  )
  assert.equal(
    await new RegistryClient({ url: registry.url }).manifest(checkpointRepository(mine), 'checkpoint'),
    undefined,
  )
})

test('an upload that breaks off leaves no image, and its rest goes with the removal', { skip }, async () => {
  const name = aName()
  const abort = new AbortController()
  async function* breaking() {
    yield* archive(4)
    abort.abort(new Error('the link was cut'))
    yield* archive(4)
  }
  await assert.rejects(push(name, breaking(), abort.signal))
  const client = new RegistryClient({ url: registry.url })
  assert.equal(await client.manifest(checkpointRepository(name), 'checkpoint'), undefined)
  // What was sent is gone at once; the registry itself leaves an empty upload folder, which goes with the removal.
  const uploads = join(registry.storage, 'docker/registry/v2/repositories', checkpointRepository(name), '_uploads')
  assert.deepEqual(
    (await readdir(uploads, { recursive: true })).filter((path) => path.endsWith('/data')),
    [],
  )
  await removeCheckpointRepository({ ...name, storageRoot: registry.storage, registry: client })
  const repositories = await readdir(join(registry.storage, 'docker/registry/v2/repositories/podferry/default'))
  assert.ok(!repositories.includes(name.migrationUID))
})

test('pushing again after a crash of the registry gives the same image', { skip }, async () => {
  const name = aName()
  const first = await push(name)
  await registry.restart()
  assert.deepEqual(await push(name), first)
})

test('removal works with the registry down', { skip }, async () => {
  const second = await startRegistry()
  const name = aName()
  await pushCheckpointImage({ registry: { url: second.url }, ...name, archive: archive(2), architecture: 'amd64' })
  const down = new RegistryClient({ url: 'http://127.0.0.1:9' })
  await removeCheckpointRepository({ ...name, storageRoot: second.storage, registry: down })
  assert.equal(
    (await readdir(join(second.storage, 'docker/registry/v2/blobs/sha256'), { recursive: true })).filter((p) =>
      p.endsWith('data'),
    ).length,
    0,
  )
  await second.stop()
})

test('a layer that the registry has is not sent again', { skip }, async () => {
  const bytes = Buffer.from('layer')
  let opened = 0
  const layer = {
    digest: sha256(bytes),
    size: bytes.length,
    async *open() {
      opened++
      yield bytes
    },
  }
  const options = {
    registry: { url: registry.url },
    repository: 'tool',
    tag: '1',
    layers: [layer],
    config: {},
    architecture: 'amd64',
  }
  const first = await pushImage(options)
  assert.deepEqual(await pushImage(options), first)
  assert.equal(opened, 1)
})

test('512 MiB pass through in less than 150 MB of memory', { skip }, async () => {
  const script = `
    import { pushCheckpointImage } from ${JSON.stringify(join(import.meta.dirname, 'checkpoint-image.ts'))}
    async function* archive() { const chunk = Buffer.alloc(1 << 20, 7); for (let i = 0; i < 512; i++) yield chunk }
    await pushCheckpointImage({ registry: { url: process.argv[1] }, namespace: 'default', migrationUID: process.argv[2], container: 'main', archive: archive(), architecture: 'amd64' })
    console.log(process.resourceUsage().maxRSS)`
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    script,
    registry.url,
    randomUUID(),
  ])
  assert.ok(Number(stdout) < 150_000, `peak was ${stdout} kB`)
})
