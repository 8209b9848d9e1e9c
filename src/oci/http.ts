/** HTTP as a registry needs it: bodies are streamed with back-pressure (built-in fetch would hold an upload in memory). */
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { PodferryError } from '../errors.ts'
import { type Interruption, pour } from './request-body.ts'

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
  /** From the end of the body to the end of the answer. Default 30 s. */
  timeoutMs?: number
}

export interface RegistryAnswer {
  status: number
  headers: IncomingHttpHeaders
  /** Answers of a registry that we read are small: manifests and errors. */
  body: Buffer
  /** Why a streamed body was ended before it was whole: its source failed, or the caller aborted. */
  interrupted?: Interruption
}

const ANSWER_LIMIT = 4 << 20
const ANSWER_TIMEOUT_MS = 30_000
const INTERRUPTED_TIMEOUT_MS = 5_000
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

/**
 * Sends one request. A streamed body is sent once and can't be repeated.
 *
 * @throws PodferryError `RegistryUnreachable` or `RegistryTimeout`; the signal's reason when it aborts a request without a stream
 */
export async function send(target: RegistryTarget, request: RegistryRequest): Promise<RegistryAnswer> {
  const { method, url, headers, body, signal, timeoutMs = ANSWER_TIMEOUT_MS } = request
  signal?.throwIfAborted()
  const known = body === undefined || Buffer.isBuffer(body)
  const sent = (url.protocol === 'https:' ? https : http).request(url, {
    method,
    headers: { ...headers, ...(known ? { 'content-length': body?.length ?? 0 } : {}) },
    ...(target.ca === undefined ? {} : { ca: target.ca }),
    ...(known && signal ? { signal } : {}),
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) =>
    sent.once('response', resolve).once('error', reject),
  )
  // Nobody waits for this promise when the body itself has failed.
  answered.catch(() => {})
  try {
    if (known) sent.end(body)
    const interrupted = known ? undefined : await pour(body, sent, answered, signal)
    const patience = interrupted ? INTERRUPTED_TIMEOUT_MS : timeoutMs
    const timer = setTimeout(() => sent.destroy(tooLate(request, `no answer within ${patience} ms`)), patience)
    try {
      return { ...(await read(await answered)), ...(interrupted ? { interrupted } : {}) }
    } catch (cause) {
      // What went wrong first is what the caller must hear.
      throw interrupted ? interrupted.cause : cause
    } finally {
      clearTimeout(timer)
    }
  } catch (cause) {
    if (cause instanceof PodferryError) throw cause
    if (signal?.aborted) throw signal.reason
    throw unreachable(request, cause)
  } finally {
    sent.destroy()
  }
}

async function read(answer: IncomingMessage): Promise<RegistryAnswer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > ANSWER_LIMIT) throw new Error(`its answer is longer than ${ANSWER_LIMIT} bytes`)
    chunks.push(chunk)
  }
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }
}

const unreachable = ({ method, url }: RegistryRequest, cause: unknown) =>
  new PodferryError({
    reason: 'RegistryUnreachable',
    message: `${method} ${url.origin}${url.pathname}: the registry can't be reached: ${cause instanceof Error ? cause.message : cause}; check that it runs at this address`,
    retry: 'backoff',
    cause,
  })

const tooLate = ({ method, url }: RegistryRequest, what: string) =>
  new PodferryError({
    reason: 'RegistryTimeout',
    message: `${method} ${url.origin}${url.pathname}: ${what}; check the registry's log and its disk`,
    retry: 'backoff',
  })
