/** Sends checkpoint archives to the agent of another node. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { ClientRequest, IncomingMessage } from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { PodferryError } from '../../errors.ts'
import { connectionError, refusalFrom } from './answer.ts'
import type { IdentityHolder } from './identity.ts'
import { AGENT_PORT, serverNameOf } from './names.ts'
import { pathOf, type UploadTarget } from './upload-request.ts'

interface ArchiveOptions extends UploadTarget {
  identity: IdentityHolder
  /** The destination: its certificate must be of this very node. */
  node: { name: string; address: string }
  /** Default 5578. */
  port?: number
  /** As this process sees it. */
  archivePath: string
  signal: AbortSignal
  /** Told how many bytes have been handed to the network so far. */
  onProgress?: (bytes: number) => void
}

interface StoredArchive {
  manifestDigest: string
  /** Bytes. */
  size: number
}

const storedSchema = z.object({ manifestDigest: z.string(), size: z.number() })

const CHUNK = 1024 * 1024
/** The registry may think for a while after the last byte, about as long as its disk needs to sync. */
const IDLE_MS = 300_000

/**
 * Streams the archive, never more than a few chunks of it in memory.
 *
 * @throws PodferryError `PeerUnreachable` (try again), `PeerUntrusted` (its certificate is not the node's), or UploadRefused with
 * the other side's own reason; an AbortError when the signal says so
 */
export async function sendArchive(options: ArchiveOptions): Promise<StoredArchive> {
  const { identity, node, port = AGENT_PORT, archivePath, signal, onProgress } = options
  const { size } = await stat(archivePath)
  const { key, cert, ca } = identity.current()
  const request = https.request({
    method: 'PUT',
    host: node.address,
    port,
    path: pathOf(options),
    // Plain TLS verification against this name pins the node.
    servername: serverNameOf(node.name),
    key,
    cert,
    ca,
    minVersion: 'TLSv1.3',
    // A connection of its own: no session is ever resumed, so both certificates are checked each time.
    agent: false,
    headers: { 'content-type': 'application/x-tar', 'content-length': size, expect: '100-continue' },
    timeout: IDLE_MS,
    signal,
  })
  request.once('timeout', () => request.destroy(new Error(`silent for ${IDLE_MS / 1000} s`)))
  const where = `agent of node ${node.name} at ${node.address}:${port}`
  try {
    const response = await exchange(request, archivePath, onProgress)
    const body = await text(response)
    if (response.statusCode === 201) return storedSchema.parse(JSON.parse(body))
    throw refusalFrom(response.statusCode ?? 0, body, where)
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof PodferryError ? error : connectionError(error, where)
  } finally {
    request.destroy()
  }
}

/** The body goes out only after the other side has asked for it; its answer may come at any time before. */
function exchange(
  request: ClientRequest,
  archivePath: string,
  onProgress: ArchiveOptions['onProgress'],
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let broken: unknown
    request.once('response', resolve)
    // A refusal in the middle of the body arrives together with a broken pipe: give the words a moment to come.
    request.once('error', (error) => {
      broken ??= error
      setImmediate(() => reject(broken))
    })
    request.once('close', () => reject(broken ?? new Error('the connection ended without an answer')))
    request.once('continue', () => {
      let sent = 0
      const file = createReadStream(archivePath, { highWaterMark: CHUNK })
      file.on('data', (chunk) => {
        sent += chunk.length
        onProgress?.(sent)
      })
      pipeline(file, request).catch((error) => {
        broken ??= error
        request.destroy()
      })
    })
    request.flushHeaders()
  })
}
