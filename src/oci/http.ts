/** HTTP as a registry needs it: bodies are streamed with back-pressure (built-in fetch would hold an upload in memory). */
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PodferryError } from '../errors.ts'

export interface RegistryTarget {
  /** `https://host:port`; plain `http://` for a loopback address only. */
  url: string
  /** PEM certificates to trust instead of the system's. */
  ca?: string
  auth?: { username: string; password: string }
}

export interface RegistryRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  url: URL
  headers?: Record<string, string>
  body?: Buffer | AsyncIterable<Uint8Array>
  signal?: AbortSignal | undefined
}

export interface RegistryAnswer {
  status: number
  headers: IncomingHttpHeaders
  /** Answers of a registry that we read are small: manifests and errors. */
  body: Buffer
}

const ANSWER_LIMIT = 4 << 20
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']

/** @throws PodferryError `InsecureRegistry` when memory would travel in clear text */
export function registryOrigin({ url }: RegistryTarget): URL {
  const origin = new URL(url)
  if (origin.protocol === 'https:' || (origin.protocol === 'http:' && LOOPBACK.includes(origin.hostname))) return origin
  throw new PodferryError({
    reason: 'InsecureRegistry',
    message: `registry ${url}: plain HTTP is allowed on the loopback only; use https`,
    retry: 'afterChange',
  })
}

/** Sends one request. A streamed body is sent once and can't be repeated. */
export async function send(
  target: RegistryTarget,
  { method, url, headers, body, signal }: RegistryRequest,
): Promise<RegistryAnswer> {
  const known = body === undefined || Buffer.isBuffer(body)
  const options = {
    method,
    headers: { ...headers, ...(known ? { 'content-length': body?.length ?? 0 } : {}) },
    ...(signal ? { signal } : {}),
    ...(target.ca === undefined ? {} : { ca: target.ca }),
  }
  const sent = (url.protocol === 'https:' ? https : http).request(url, options)
  const answered = new Promise<IncomingMessage>((resolve, reject) =>
    sent.once('response', resolve).once('error', reject),
  )
  try {
    if (known) sent.end(body)
    else await Promise.race([pipeline(Readable.from(body), sent), earlyRefusal(answered)])
    return await read(await answered)
  } catch (cause) {
    // Nobody waits for this promise when the upload itself has failed.
    answered.catch(() => {})
    sent.destroy()
    if (cause instanceof PodferryError || signal?.aborted) throw cause
    const message = `${method} ${url.origin}${url.pathname}: the registry can't be reached: ${cause instanceof Error ? cause.message : cause}`
    throw new PodferryError({ reason: 'RegistryUnreachable', message, retry: 'backoff', cause })
  }
}

/** A registry that refuses answers before it has read the body: then there is no use in sending the rest. */
async function earlyRefusal(answered: Promise<IncomingMessage>): Promise<void> {
  const { statusCode = 0 } = await answered
  if (statusCode < 400) await new Promise(() => {})
}

async function read(answer: IncomingMessage): Promise<RegistryAnswer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= ANSWER_LIMIT) chunks.push(chunk)
  }
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }
}
