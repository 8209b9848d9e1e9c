/** Pushes base images that are new or changed into the lab's registry. Runs inside the lab's network. */
import { createHash } from 'node:crypto'
import { readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { RegistryTarget } from '../../src/oci/http.ts'
import { type KnownLayer, pushImage } from '../../src/oci/image-writer.ts'
import { type Descriptor, LAYER_TYPE } from '../../src/oci/media-types.ts'
import { RegistryClient } from '../../src/oci/registry-client.ts'
import { readIfThere, sleep, writeWhole } from '../files.ts'
import { describeImage, type Image, imageRef } from '../images.ts'
import { LabError } from '../lab-error.ts'
import { readPki } from '../pki.ts'
import { CACHE, CHECKOUT, CONTROL_PLANE, enterLab, netnsPath, REGISTRY_HOST } from '../places.ts'
import { runAttached } from '../run.ts'
import { type Layer, layerKey, layerTar } from './layer.ts'

interface Published {
  key: string
  digest: string
}

const recordPath = (image: string) => join(CACHE, 'published', `${image.replace(':', '-')}.json`)

async function readRecord(image: string): Promise<Published | undefined> {
  const text = await readIfThere(recordPath(image))
  return text === undefined ? undefined : (JSON.parse(text) as Published)
}

/** @returns the reference by digest of what was published last. @throws LabError when nothing was. */
export async function publishedRef(image: string): Promise<string> {
  const record = await readRecord(image)
  if (record === undefined) throw new LabError(`${image} is not published: run bin/lab image publish ${image}`)
  return `${imageRef(image).slice(0, -(image.length - image.lastIndexOf(':')))}@${record.digest}`
}

function imageKey(image: Image): string {
  const parts = [JSON.stringify(image.config), ...image.layers.map(layerKey)]
  return createHash('sha256').update(parts.join('\n')).digest('hex')
}

const layerMemory = (layer: Layer) => join(CACHE, 'published', 'layers', `${layerKey(layer)}.json`)

/** An unchanged layer is neither built nor pushed again: its digest is remembered by its content key. */
async function ensureLayer(client: RegistryClient, repository: string, layer: Layer): Promise<KnownLayer> {
  const known = await readIfThere(layerMemory(layer))
  const open = () => layerTar(layer)
  if (known !== undefined) {
    const { digest, size } = JSON.parse(known) as Descriptor
    if (await client.hasBlob(repository, digest)) return { digest, size, open }
  }
  const { digest, size } = await client.uploadBlob(repository, LAYER_TYPE, open())
  return { digest, size, open }
}

async function publishOne(client: RegistryClient, registry: RegistryTarget, name: string): Promise<void> {
  const image = await describeImage(name)
  const key = imageKey(image)
  const [repository = '', tag = ''] = name.split(':')
  const record = await readRecord(name)
  if (record?.key === key && (await client.manifest(repository, tag))?.digest === record.digest) return
  const layers: KnownLayer[] = []
  for (const layer of image.layers) layers.push(await ensureLayer(client, repository, layer))
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const { digest } = await pushImage({ registry, repository, tag, layers, config: image.config, architecture })
  console.log(`published ${name} ${digest}`)
  // A file that changed while it was read would be remembered under the key of its former content.
  if (imageKey(await describeImage(name)) !== key) return
  for (const [place, layer] of image.layers.entries())
    await writeWhole(layerMemory(layer), JSON.stringify({ digest: layers[place]?.digest, size: layers[place]?.size }))
  await writeWhole(recordPath(name), JSON.stringify({ key, digest }))
}

/** Publishes each image whose content key changed, or which the registry does not hold as recorded. */
async function publish(images: readonly string[]): Promise<void> {
  const registry = { url: `https://${REGISTRY_HOST}`, ca: await readPki('ca.crt') }
  const client = new RegistryClient(registry)
  await awaitRegistry(() => client.ping())
  for (const name of images) await publishOne(client, registry, name)
}

async function awaitRegistry(probe: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 20_000
  while (true) {
    try {
      return await probe()
    } catch (cause) {
      if (Date.now() > deadline) throw new LabError(`the registry at ${REGISTRY_HOST} does not answer`, { cause })
      await sleep(100)
    }
  }
}

/** Publishes from any network: a process cannot change its own, so another runs `bin/lab image publish` in the lab's. */
export async function publishFromHost(images: readonly string[]): Promise<void> {
  const lab = await stat(netnsPath(CONTROL_PLANE)).catch(() => undefined)
  if (lab === undefined) throw new LabError('the lab does not run: start it with bin/lab up')
  if ((await readlink('/proc/self/ns/net')) === `net:[${lab.ino}]`) return publish(images)
  const command = [process.execPath, join(CHECKOUT, 'lab/main.ts'), 'image', 'publish', ...images]
  if ((await runAttached(enterLab(command))) !== 0) throw new LabError('publishing the base images failed')
}
