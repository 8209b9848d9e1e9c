/** Pushes base images that are new or changed into the lab's registry. Runs inside the lab's network. */
import { createHash } from 'node:crypto'
import { readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, sleep, writeWhole } from '../files.ts'
import { describeImage, type Image, imageRef } from '../images.ts'
import { LabError } from '../lab-error.ts'
import { readPki } from '../pki.ts'
import { CACHE, CHECKOUT, CONTROL_PLANE, enterLab, netnsPath, REGISTRY_HOST } from '../places.ts'
import { runAttached } from '../run.ts'
import { layerKey, layerTar } from './layer.ts'
import { manifestDigest, pushImage } from './push.ts'

interface Record {
  key: string
  digest: string
}

const recordPath = (image: string) => join(CACHE, 'published', `${image.replace(':', '-')}.json`)

async function readRecord(image: string): Promise<Record | undefined> {
  const text = await readIfThere(recordPath(image))
  return text === undefined ? undefined : (JSON.parse(text) as Record)
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

/** Publishes each image whose content key changed, or which the registry does not hold as recorded. */
export async function publish(images: readonly string[]): Promise<void> {
  const registry = { url: `https://${REGISTRY_HOST}`, ca: await readPki('ca.crt') }
  await awaitRegistry(() => manifestDigest(registry, 'none', 'none'))
  for (const name of images) {
    const image = await describeImage(name)
    const key = imageKey(image)
    const [repository = '', tag = ''] = name.split(':')
    const record = await readRecord(name)
    if (record?.key === key && (await manifestDigest(registry, repository, tag)) === record.digest) continue
    const layers = image.layers.map(layerTar)
    const { digest } = await pushImage({ registry, repository, tag, layers, config: image.config })
    await writeWhole(recordPath(name), JSON.stringify({ key, digest }))
    console.log(`published ${name} ${digest}`)
  }
}

async function awaitRegistry(probe: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 20_000
  while (true) {
    try {
      await probe()
      return
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
