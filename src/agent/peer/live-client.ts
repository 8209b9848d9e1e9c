/** What the source agent asks of the destination agent in mode Live. */
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { PodferryError } from '../../errors.ts'
import type { FileRoot } from '../live/files/roots.ts'
import { connectionError, refusalFrom } from './answer.ts'
import type { IdentityHolder } from './identity.ts'
import { type LiveAsk, livePathOf, methodOf } from './live-request.ts'
import { AGENT_PORT, serverNameOf } from './names.ts'

/** Every method throws PodferryError `PeerUnreachable`, `PeerUntrusted`, UploadRefused with the other side's reason, or an AbortError. */
export interface LivePeer {
  /** Tells where the page keepers of this node listen; answered when those of the other node run. */
  begin(o: { containers: { name: string; pagePort: number }[] }): Promise<void>
  sendFiles(o: { root: FileRoot; level: 0 | 1; body: Readable }): Promise<{ bytes: number }>
  sendImages(o: { container: string; body: Readable }): Promise<{ bytes: number }>
}

interface PeerOptions {
  identity: IdentityHolder
  /** The destination: its certificate must be of this very node. */
  node: { name: string; address: string }
  namespace: string
  migrationName: string
  migrationUID: string
  /** Of this node: where its page keepers listen. */
  selfAddress: string
  signal: AbortSignal
  /** Default 5578. */
  port?: number
}

const answerSchema = z.object({ bytes: z.number() })
/** The other side may unpack for a while after the last byte. */
const IDLE_MS = 120_000
/** The pod stands still meanwhile: a silent link must be noticed before the patience of who sends is over. */
const FROZEN_IDLE_MS = 20_000
const idleMsOf = (what: LiveAsk) =>
  what.what === 'images' || (what.what === 'files' && what.level === 1) ? FROZEN_IDLE_MS : IDLE_MS

/** Connections are kept for what follows: a handshake in the freeze costs some 10 ms. Both certificates are checked at each. */
export function openLivePeer(options: PeerOptions): LivePeer {
  const { identity, node, port = AGENT_PORT, signal, selfAddress } = options
  const agent = new https.Agent({ keepAlive: true, maxCachedSessions: 0 })
  signal.addEventListener('abort', () => agent.destroy(), { once: true })
  const where = `agent of node ${node.name} at ${node.address}:${port}`

  const ask = async (what: LiveAsk, body: Readable): Promise<{ bytes: number }> => {
    const { key, cert, ca } = identity.current()
    const idleMs = idleMsOf(what)
    const request = https.request({
      ...{ method: methodOf(what), host: node.address, port, path: livePathOf(options, what), agent, signal },
      ...{ key, cert, ca, servername: serverNameOf(node.name), minVersion: 'TLSv1.3' },
      headers: { 'content-type': what.what === 'begin' ? 'application/json' : 'application/x-tar' },
      timeout: idleMs,
    })
    request.once('timeout', () => request.destroy(new Error(`silent for ${idleMs / 1000} s`)))
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      // A refusal in the middle of the body arrives together with a broken pipe: give the words a moment to come.
      request.once('error', (error) => setImmediate(() => reject(error)))
      request.once('close', () => reject(new Error('the connection ended without an answer')))
    })
    const sent = pipeline(body, request)
    sent.catch(() => {})
    try {
      const response = await answered
      const said = await text(response)
      if (response.statusCode !== 200) throw refusalFrom(response.statusCode ?? 0, said, where)
      await sent
      return answerSchema.parse(JSON.parse(said))
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof PodferryError ? error : connectionError(error, where)
    } finally {
      body.destroy()
    }
  }

  return {
    async begin({ containers }) {
      await ask({ what: 'begin' }, Readable.from([JSON.stringify({ address: selfAddress, containers })]))
    },
    sendFiles: ({ root, level, body }) => ask({ what: 'files', root, level }, body),
    sendImages: ({ container, body }) => ask({ what: 'images', container }, body),
  }
}
