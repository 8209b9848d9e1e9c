import http from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { type Clock, sleep } from './clock.ts'
import type { Connection } from './connection.ts'
import { Deadline } from './deadline.ts'
import { errorFromResponse } from './error.ts'

/** One HTTP exchange with the API server. */
export interface KubeRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Absolute path without query. */
  path: string
  query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  body?: unknown
  contentType?: string
  accept?: string
  signal?: AbortSignal | undefined
  /** From sending to the last byte (of a stream: to the headers), waits included. Default 30 s. */
  timeoutMs?: number | undefined
}

export interface TransportOptions {
  connection: Connection
  userAgent: string
  clock: Clock
}

/** Both throw KubeError for every answer that is not 2xx and for no answer at all. */
export interface Transport {
  /** The whole body. */
  send(request: KubeRequest): Promise<string>
  /** The body as it comes; the caller reads it to the end or destroys it. */
  stream(request: KubeRequest): Promise<http.IncomingMessage>
}

const defaultTimeoutMs = 30_000
const throttleRetries = 3
const throttleMaxMs = 5_000

/** Sends requests with fresh credentials over kept-alive sockets of `node:https` (undici would cost an agent 30 MB). */
export function createTransport(options: TransportOptions): Transport {
  return {
    async send(request) {
      const deadline = startDeadline(request, options.clock)
      try {
        const response = await answer(options, request, deadline)
        return await text(response).catch((cause) => Promise.reject(deadline.error(cause)))
      } finally {
        deadline.settle()
      }
    },
    async stream(request) {
      const deadline = startDeadline(request, options.clock)
      try {
        const response = await answer(options, request, deadline)
        deadline.stopTimer()
        response.once('close', () => deadline.settle())
        return response
      } catch (error) {
        deadline.settle()
        throw error
      }
    },
  }
}

function startDeadline(request: KubeRequest, clock: Clock): Deadline {
  const { method, path, signal, timeoutMs = defaultTimeoutMs } = request
  return new Deadline({ what: `${method} ${path}`, timeoutMs, signal, clock })
}

async function answer(
  options: TransportOptions,
  request: KubeRequest,
  deadline: Deadline,
): Promise<http.IncomingMessage> {
  const { connection, userAgent, clock } = options
  for (let attempt = 1; ; attempt++) {
    const { agent, headers } = await connection.credentials()
    const send = () =>
      exchange(connection.server, request, agent, { ...headers, 'user-agent': userAgent }, deadline.signal)
    const response = await send()
      // A server may close an idle kept-alive connection in the instant we use it; reading again does no harm.
      .catch((cause) => (cause instanceof StaleSocket && request.method === 'GET' ? send() : Promise.reject(cause)))
      .catch((cause) => Promise.reject(deadline.error(cause)))
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return response
    const body = await text(response).catch((cause) => Promise.reject(deadline.error(cause)))
    const waitMs = Number(response.headers['retry-after']) * 1000
    // As client-go: the server asks for a pause (priority and fairness, start-up) and has not acted on the request.
    const throttled = (status === 429 || status === 503) && waitMs >= 0 && attempt <= throttleRetries
    if (!throttled) throw errorFromResponse(request.method, request.path, status, body)
    await sleep(clock, Math.min(waitMs, throttleMaxMs), deadline.signal)
  }
}

class StaleSocket extends Error {}

function exchange(
  server: URL,
  request: KubeRequest,
  agent: http.Agent,
  credentials: Record<string, string>,
  signal: AbortSignal,
): Promise<http.IncomingMessage> {
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body))
  const headers: Record<string, string | number> = { accept: request.accept ?? 'application/json', ...credentials }
  if (body !== undefined) {
    headers['content-type'] = request.contentType ?? 'application/json'
    headers['content-length'] = body.length
  }
  const url = new URL(`${server.pathname.replace(/\/$/, '')}${request.path}${queryString(request.query)}`, server)
  const open = url.protocol === 'https:' ? https.request : http.request
  return new Promise((resolve, reject) => {
    const sent = open(url, { method: request.method, agent, headers, signal })
    sent.once('response', resolve)
    // `on`, not `once`: an abort after the answer raises a second error, which belongs to the reader of the body.
    sent.on('error', (error: NodeJS.ErrnoException) => {
      const stale = sent.reusedSocket && error.code === 'ECONNRESET'
      reject(stale ? new StaleSocket(error.message, { cause: error }) : error)
    })
    sent.end(body)
  })
}

function queryString(query: KubeRequest['query']): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(name, String(value))
  }
  return parameters.size === 0 ? '' : `?${parameters}`
}
