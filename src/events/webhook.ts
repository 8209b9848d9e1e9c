/** Receives the registry's notifications on the loopback and hands them to the bus. */
import { timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { PodferryError } from '../errors.ts'
import type { EventPublisher } from './bus.ts'
import { eventsOf } from './notification.ts'

interface WebhookOptions {
  publisher: EventPublisher
  node: string
  /** What the registry must send as bearer token: other processes of the node share the loopback. */
  token: string
  /** 0 takes any free port. */
  port: number
  log: Logger
}

export interface Webhook {
  readonly port: number
  close(): Promise<void>
}

/** A notification is a few hundred bytes an event; the registry sends at most a handful at once. */
const BODY_LIMIT = 1 << 20

/**
 * Starts listening. A notification is answered with 200 only once the bus has all its events, so that the registry repeats it otherwise.
 *
 * @throws PodferryError `InvalidSetting` for an empty token
 */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  if (options.token === '') {
    const message = "the token file of the event handler is empty: write it anew with 'podferry registry-config'"
    throw new PodferryError({ reason: 'InvalidSetting', message, retry: 'afterChange' })
  }
  const server = createServer((request, response) => {
    answer(options, request).then(
      (status) => end(response, status),
      (error: unknown) => {
        options.log.warn({ err: error }, 'a notification was not taken; the registry will repeat it')
        end(response, 500)
      },
    )
  })
  server.requestTimeout = 10_000
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const end = (response: ServerResponse, status: number) => response.writeHead(status).end()

/** @returns the HTTP status */
async function answer({ publisher, node, token, log }: WebhookOptions, request: IncomingMessage): Promise<number> {
  if (request.url === '/healthz') return 200
  if (request.method !== 'POST' || request.url !== '/events') return 404
  if (!isAuthorized(request.headers.authorization, token)) return 401
  const body = await readBody(request)
  if (body === undefined) return 413
  const events = eventsOf(parse(body), node)
  if (events === undefined) return 400
  for (const event of events) {
    await publisher.publish(event)
    log.info({ ...event }, 'checkpoint image arrived')
  }
  return 200
}

function isAuthorized(header: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)]
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_LIMIT) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
