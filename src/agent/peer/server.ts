/** The agent's HTTPS server: takes checkpoint archives from other agents, and from nobody else. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isNotFound } from '../../kube/error.ts'
import type { IdentityHolder } from './identity.ts'
import { parseLivePath } from './live-request.ts'
import { type LiveReceiver, receiveLive } from './live-server.ts'
import { AGENT_PORT } from './names.ts'
import { nodeOfPeer } from './peer-node.ts'
import { UploadRefused } from './refused.ts'
import { judgeUpload, parsePath, type UploadTarget } from './upload-request.ts'
import type { Uploads } from './uploads.ts'

export interface ArrivedArchive extends UploadTarget {
  /** As it was when the archive was found welcome. */
  migration: Migration
  body: Readable
  /** Bytes that will come. */
  size: number
  signal: AbortSignal
}

interface ServerOptions {
  identity: IdentityHolder
  client: KubeClient
  log: Logger
  nodeName: string
  /** The node's own address, never a wildcard. */
  address: string
  /** Default 5578; 0 picks a free one. */
  port?: number
  uploads: Uploads
  /** Whether there is room for so many bytes; throws PodferryError `DiskTooSmall`. */
  makeRoom(bytes: number): Promise<void>
  /** Reads the body to its end into the registry. */
  store(archive: ArrivedArchive): Promise<{ manifestDigest: string; size: number }>
  /** An archive has arrived. */
  onStored(target: UploadTarget): void
  /** Takes what mode Live sends. Without it such requests are refused. */
  live?: LiveReceiver
}

export interface PeerServer {
  port: number
  /** Cuts what is under way. */
  close(): Promise<void>
}

/** Silence after which a sender counts as dead; it sends again by itself. */
const IDLE_MS = 300_000
/** A sender that has been told why stops within moments; one that does not is cut. */
const LINGER_MS = 5_000

/** Starts listening as soon as the identity has a certificate; call it then. */
export async function startPeerServer(options: ServerOptions): Promise<PeerServer> {
  const { identity, log, address, port = AGENT_PORT } = options
  const server = https.createServer({
    ...tlsOptions(identity),
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: true,
    headersTimeout: 15_000,
    // An archive of many gigabytes takes its time; a stalled one is ended by the idle time-out.
    requestTimeout: 0,
    keepAlive: false,
    // Live's next request comes after the files that were copied ahead: its connection should still be there.
    keepAliveTimeout: 60_000,
  })
  // Renewal without a pause: connections that are open go on, new ones see the new certificate.
  identity.onChange(() => server.setSecureContext({ ...tlsOptions(identity), minVersion: 'TLSv1.3' }))
  server.setTimeout(IDLE_MS)
  const handle = (request: IncomingMessage, response: ServerResponse) => void serve(options, request, response)
  server.on('request', handle)
  // The sender waits for our word before it sends gigabytes.
  server.on('checkContinue', handle)
  server.on('tlsClientError', (error, socket) =>
    log.warn({ err: error, peer: socket.remoteAddress }, 'a connection was refused: no valid certificate of an agent'),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, () => resolve())
  })
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function tlsOptions(identity: IdentityHolder) {
  const { key, cert, ca } = identity.current()
  return { key, cert, ca }
}

async function serve(options: ServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { log, nodeName } = options
  const peer = nodeOfPeer(request.socket as TLSSocket)
  const asked = parseLivePath(request.url ?? '')
  const target = parsePath(request.url ?? '')
  const began = performance.now()
  try {
    if (peer === undefined) throw new UploadRefused(403, 'NotAnAgent', "the certificate is not an agent's")
    if (asked !== undefined && options.live !== undefined) {
      const taken = await receiveLive({ ...options, live: options.live }, request, asked, peer)
      const ms = Math.round(performance.now() - began)
      log.info({ ...asked.target, ...asked.ask, peer, node: nodeName, bytes: taken.bytes, ms }, 'taken')
      return answer(response, 200, taken)
    }
    if (target === undefined || request.method !== 'PUT') {
      throw new UploadRefused(
        404,
        'UnknownRequest',
        `${request.method} ${request.url} is nothing that an agent answers`,
      )
    }
    const stored = await receive(options, request, response, target, peer)
    const ms = Math.round(performance.now() - began)
    log.info(
      { ...target, peer, node: nodeName, bytes: stored.size, ms, digest: stored.manifestDigest },
      'archive received',
    )
    answer(response, 201, stored)
    options.onStored(target)
  } catch (error) {
    const status = error instanceof UploadRefused ? error.status : statusOf(error)
    const reason = error instanceof PodferryError ? error.reason : 'InternalError'
    const message = error instanceof Error ? error.message : String(error)
    log.warn({ ...target, ...asked?.target, ...asked?.ask, peer, node: nodeName, status, err: error }, 'not received')
    answer(response, status, { reason, message })
    // What is left of the body is dropped, not left unread: the kernel would reset the connection, and our words with it.
    request.unpipe()
    request.resume()
    const linger = setTimeout(() => request.destroy(), LINGER_MS)
    request.once('close', () => clearTimeout(linger))
  }
}

async function receive(
  { client, nodeName, uploads, makeRoom, store }: ServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  target: UploadTarget,
  peer: string,
): Promise<{ manifestDigest: string; size: number }> {
  const size = Number(request.headers['content-length'] ?? Number.NaN)
  if (!Number.isSafeInteger(size)) throw new UploadRefused(411, 'LengthRequired', 'an archive needs a Content-Length')
  // Known as active before the Migration is read: whoever decides against it from now on ends this upload too.
  const upload = await uploads.begin(target.migrationUID, target.container)
  const onAbort = () => request.destroy(upload.signal.reason as Error)
  try {
    const { namespace, migrationName } = target
    const migration = await client.get(MIGRATIONS, namespace, migrationName).catch((error) => {
      if (!isNotFound(error)) throw error
      throw new UploadRefused(404, 'MigrationNotFound', `there is no Migration ${namespace}/${migrationName}`)
    })
    const refusal = judgeUpload(migration, target, peer, nodeName)
    if (refusal) throw new UploadRefused(refusal.status, refusal.reason, refusal.message)
    await makeRoom(size)
    upload.signal.throwIfAborted()
    upload.signal.addEventListener('abort', onAbort, { once: true })
    if (request.headers.expect !== undefined) response.writeContinue()
    return await store({ ...target, migration, body: request, size, signal: upload.signal })
  } finally {
    upload.signal.removeEventListener('abort', onAbort)
    upload.end()
  }
}

function statusOf(error: unknown): number {
  if (!(error instanceof PodferryError)) return 500
  if (error.reason === 'DiskTooSmall') return 507
  return error.retry === 'backoff' ? 503 : 500
}

function answer(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
