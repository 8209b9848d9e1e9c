/** The webhook's HTTPS server. It answers on a secret path only, as its answers hold a pod's environment. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { isRecreated } from '../../api/recreated.ts'
import type { KubeClient } from '../../kube/client.ts'
import type { KeyPair } from '../certificates/issue.ts'
import { isJobs } from '../owner.ts'
import { claim } from './claim.ts'
import { probedPatch, replacementPatch, successorPatch } from './replacement.ts'
import { type Creation, parseReview, reviewAnswer, reviewRefusal } from './review.ts'

export const ADMISSION_PORT = 9443
/** etcd holds no object of more. */
const MAX_BODY = 3 << 20
/** A little less than the API server waits: what comes later counts for nothing. */
const ANSWER_MS = 1_800

interface AdmissionOptions {
  client: KubeClient
  log: Logger
  identity: KeyPair
  /** With its leading slash. */
  path: string
  mayAct(): boolean
  /** Default 9443; 0 picks a free one. */
  port?: number
}

export interface AdmissionServer {
  port: number
  /** New connections see the new certificate. */
  renew(identity: KeyPair): void
  close(): Promise<void>
}

export async function startAdmissionServer(options: AdmissionOptions): Promise<AdmissionServer> {
  const { identity, port = ADMISSION_PORT } = options
  const secured = ({ cert, key }: KeyPair) => ({ cert, key, minVersion: 'TLSv1.3' as const })
  const server = https.createServer({ ...secured(identity), headersTimeout: 5_000, requestTimeout: 10_000 })
  server.on('request', (request, response) => void serve(options, request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, () => resolve())
  })
  return {
    port: (server.address() as AddressInfo).port,
    renew: (next) => server.setSecureContext(secured(next)),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(options: AdmissionOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { log, path, mayAct } = options
  if (request.url === '/healthz') return send(response, mayAct() ? 200 : 503, {})
  // The query is the API server's own: ?timeout=2s.
  const [asked = ''] = (request.url ?? '').split('?')
  if (request.method !== 'POST' || !isSame(asked, path)) return send(response, 404, {})
  try {
    const creation = parseReview(await bodyOf(request))
    if (!mayAct()) return send(response, 503, {})
    send(response, 200, await answer(options, creation))
  } catch (error) {
    // The API server goes on without us (failurePolicy Ignore), and the Migration finds out and rolls back; of a StatefulSet it refuses the pod.
    log.warn({ err: error }, 'a creation was not answered')
    send(response, 500, {})
  }
}

async function answer({ client, log }: AdmissionOptions, creation: Creation): Promise<object> {
  const { uid } = creation
  if (creation.dryRun) return reviewAnswer(uid, probedPatch(creation))
  const claimed = await claim(client, creation, AbortSignal.timeout(ANSWER_MS))
  if (!claimed) return reviewAnswer(uid, undefined)
  const { migration, source } = claimed
  const { namespace, name } = migration.metadata
  const about = {
    migration: `${namespace}/${name}`,
    pod: migration.spec.podName,
    owner: migration.status?.source?.owner?.name,
  }
  if (!source) {
    log.info(about, 'a pod was kept from being made')
    return reviewRefusal(
      uid,
      isJobs(migration.status)
        ? `pod ${migration.spec.podName} is being moved by Migration ${name}; until it has arrived its Job makes no other`
        : `pod ${migration.spec.podName} is being moved by Migration ${name} and waits for its state`,
    )
  }
  log.info(about, 'replacement claimed')
  const patch = isRecreated(migration.status) ? successorPatch : replacementPatch
  return reviewAnswer(uid, patch(migration, source, creation))
}

const digest = (text: string) => createHash('sha256').update(text).digest()
const isSame = (one: string, other: string) => timingSafeEqual(digest(one), digest(other))

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw new Error(`a review of more than ${MAX_BODY} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
