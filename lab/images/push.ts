/** Pushes one image in OCI format; layers are streamed and never held whole. */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ImageConfig } from '../images.ts'
import { LabError } from '../lab-error.ts'

export interface PushOptions {
  registry: { url: string; ca: string }
  repository: string
  tag: string
  layers: AsyncIterable<Uint8Array>[]
  config: ImageConfig
}

interface Descriptor {
  mediaType: string
  digest: string
  size: number
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

interface Answer {
  status: number
  headers: IncomingMessage['headers']
}

async function send(
  ca: string,
  method: string,
  url: URL,
  body?: AsyncIterable<Uint8Array> | Buffer,
  type = 'application/octet-stream',
): Promise<Answer> {
  const headers = { 'content-type': type, ...(Buffer.isBuffer(body) ? { 'content-length': body.length } : {}) }
  const sent = request(url, { method, ca, headers })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve)
    sent.on('error', reject)
  })
  if (body === undefined || Buffer.isBuffer(body)) sent.end(body)
  else await pipeline(Readable.from(body), sent)
  const answer = await answered
  answer.resume()
  return { status: answer.statusCode ?? 0, headers: answer.headers }
}

function expectStatus(answer: Answer, wanted: number, what: string): void {
  if (answer.status !== wanted) throw new LabError(`the registry answered ${answer.status} to ${what}`)
}

/** @returns the digest of the tag's manifest; undefined when there is none. */
export async function manifestDigest(
  registry: PushOptions['registry'],
  repository: string,
  tag: string,
): Promise<string | undefined> {
  const url = new URL(`/v2/${repository}/manifests/${tag}`, registry.url)
  const sent = request(url, { method: 'HEAD', ca: registry.ca, headers: { accept: MANIFEST } })
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.end()
  })
  answer.resume()
  const digest = answer.headers['docker-content-digest']
  return answer.statusCode === 200 && typeof digest === 'string' ? digest : undefined
}

async function pushBlob(options: PushOptions, mediaType: string, body: AsyncIterable<Uint8Array>): Promise<Descriptor> {
  const { url, ca } = options.registry
  const opened = await send(ca, 'POST', new URL(`/v2/${options.repository}/blobs/uploads/`, url))
  expectStatus(opened, 202, 'an upload')
  const hash = createHash('sha256')
  let size = 0
  const counted = async function* () {
    for await (const chunk of body) {
      hash.update(chunk)
      size += chunk.length
      yield chunk
    }
  }
  const stored = await send(ca, 'PATCH', new URL(opened.headers.location ?? '', url), counted())
  expectStatus(stored, 202, 'a layer')
  const digest = `sha256:${hash.digest('hex')}`
  const close = new URL(stored.headers.location ?? '', url)
  close.searchParams.set('digest', digest)
  expectStatus(await send(ca, 'PUT', close), 201, 'the end of a layer')
  return { mediaType, digest, size }
}

/** @returns the manifest's digest. @throws LabError when the registry refuses. */
export async function pushImage(options: PushOptions): Promise<{ digest: string }> {
  const layers: Descriptor[] = []
  for (const layer of options.layers)
    layers.push(await pushBlob(options, 'application/vnd.oci.image.layer.v1.tar', layer))
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: options.config,
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
    }),
  )
  const described = await pushBlob(options, 'application/vnd.oci.image.config.v1+json', Readable.from([config]))
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: described, layers }))
  const url = new URL(`/v2/${options.repository}/manifests/${options.tag}`, options.registry.url)
  expectStatus(await send(options.registry.ca, 'PUT', url, manifest, MANIFEST), 201, 'the manifest')
  return { digest: `sha256:${createHash('sha256').update(manifest).digest('hex')}` }
}
