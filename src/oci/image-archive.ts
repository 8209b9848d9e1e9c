/** An image in one file: an OCI image layout as a tar, as `ctr image import`, skopeo and podman read it. */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract, pack } from 'tar-stream'
import { PodferryError } from '../errors.ts'
import type { RegistryTarget } from './http.ts'
import type { ImageConfig } from './image-writer.ts'
import { CONFIG_TYPE, type Descriptor, LAYER_TYPE, MANIFEST_TYPE, type Manifest } from './media-types.ts'
import { RegistryClient, sha256 } from './registry-client.ts'

interface ArchiveOptions {
  path: string
  /** What the image is called when it is imported. */
  name: string
  /** Uncompressed tars, lowest first. */
  layers: AsyncIterable<Uint8Array>[]
  config: ImageConfig
  /** As Go names it: amd64, arm64. */
  architecture: string
}

const blobPath = (digest: string) => `blobs/${digest.replace(':', '/')}`

/** Writes the archive beside its place and renames it. @returns the manifest's digest */
export async function writeImageArchive(options: ArchiveOptions): Promise<string> {
  const { path, name, config, architecture } = options
  const scratch = await mkdtemp(join(dirname(path), '.image-'))
  try {
    // A tar names the size of an entry before its content: layers wait in files until theirs is known.
    const layers: { descriptor: Descriptor; file: string }[] = []
    for (const [place, layer] of options.layers.entries()) {
      const file = join(scratch, `layer-${place}`)
      layers.push({ descriptor: await writeLayer(layer, file), file })
    }
    const descriptors = layers.map(({ descriptor }) => descriptor)
    const rootfs = { type: 'layers', diff_ids: descriptors.map(({ digest }) => digest) }
    const configBytes = Buffer.from(JSON.stringify({ architecture, os: 'linux', config, rootfs }))
    const described = describe(CONFIG_TYPE, configBytes)
    const manifest = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config: described, layers: descriptors }
    const manifestBytes = Buffer.from(JSON.stringify(manifest))
    const image = describe(MANIFEST_TYPE, manifestBytes)
    const annotations = {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
    }
    const index = { schemaVersion: 2, manifests: [{ ...image, annotations }] }

    const archive = join(scratch, 'archive')
    const tar = pack()
    const written = pipeline(tar, createWriteStream(archive))
    tar.entry({ name: 'oci-layout' }, JSON.stringify({ imageLayoutVersion: '1.0.0' }))
    tar.entry({ name: 'index.json' }, JSON.stringify(index))
    tar.entry({ name: blobPath(image.digest) }, manifestBytes)
    tar.entry({ name: blobPath(described.digest) }, configBytes)
    for (const { descriptor, file } of layers) {
      const entry = tar.entry({ name: blobPath(descriptor.digest), size: descriptor.size })
      await pipeline(createReadStream(file), entry)
    }
    tar.finalize()
    await written
    await rename(archive, path)
    return image.digest
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

const describe = (mediaType: string, bytes: Buffer): Descriptor => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
})

async function writeLayer(layer: AsyncIterable<Uint8Array>, path: string): Promise<Descriptor> {
  const hash = createHash('sha256')
  let size = 0
  const file = await open(path, 'wx')
  try {
    for await (const chunk of layer) {
      hash.update(chunk)
      size += chunk.length
      await file.writeFile(chunk)
    }
  } finally {
    await file.close()
  }
  return { mediaType: LAYER_TYPE, digest: `sha256:${hash.digest('hex')}`, size }
}

interface PushOptions {
  path: string
  registry: RegistryTarget
  repository: string
  tag: string
}

/**
 * Pushes an archive that `writeImageArchive` has written: its entries come in the order in which a registry wants them.
 *
 * @returns the manifest's digest
 * @throws PodferryError when the registry refuses, or the file is no such archive
 */
export async function pushImageArchive({ path, registry, repository, tag }: PushOptions): Promise<string> {
  const client = new RegistryClient(registry)
  const entries = extract()
  const reading = pipeline(createReadStream(path), entries)
  // Seen below as the entries' own end.
  reading.catch((error: Error) => entries.destroy(error))
  let wanted: string | undefined
  let manifest: Manifest | undefined
  for await (const entry of entries) {
    const { name } = entry.header
    const digest = name.replace(/^blobs\/sha256\//, 'sha256:')
    if (name === 'index.json') wanted = JSON.parse(await text(entry)).manifests?.[0]?.digest
    else if (digest === wanted) manifest = JSON.parse(await text(entry)) as Manifest
    else if (digest.startsWith('sha256:')) await pushBlob(client, repository, digest, entry)
    else entry.resume()
  }
  await reading
  if (manifest === undefined) {
    throw new PodferryError({
      reason: 'NoImageArchive',
      message: `${path} is no image archive of podferry: make docker-build writes one`,
      retry: 'afterChange',
    })
  }
  return await client.putManifest(repository, tag, manifest)
}

async function pushBlob(
  client: RegistryClient,
  repository: string,
  digest: string,
  entry: AsyncIterable<unknown> & { resume(): void },
): Promise<void> {
  if (await client.hasBlob(repository, digest)) {
    entry.resume()
    return
  }
  const pushed = await client.uploadBlob(repository, LAYER_TYPE, entry as AsyncIterable<Uint8Array>)
  if (pushed.digest === digest) return
  const message = `the archive is damaged: ${digest} has the content of ${pushed.digest}; write it again`
  throw new PodferryError({ reason: 'NoImageArchive', message, retry: 'afterChange' })
}
