/** The part of the agent's server that takes what mode Live sends: where keepers listen, files, CRIU's images. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isNotFound } from '../../kube/error.ts'
import type { FileRoot } from '../live/files/roots.ts'
import { beginSchema, judgeLive, type LiveRequest, type LiveTarget, methodOf, nameOf, thingOf } from './live-request.ts'
import { UploadRefused } from './refused.ts'
import type { Uploads } from './uploads.ts'

interface Arrival {
  target: LiveTarget
  /** As it was when the request was found welcome. */
  migration: Migration
  /** Aborts when a newer request of the same thing takes over or nobody wants it any more. */
  signal: AbortSignal
}

/** Each is repeated until it succeeds or the Migration is decided, so it must stand being done twice. */
export interface LiveReceiver {
  begin(
    arrival: Arrival & { peerNode: string; peerAddress: string; containers: { name: string; pagePort: number }[] },
  ): Promise<void>
  files(arrival: Arrival & { root: FileRoot; level: 0 | 1; body: Readable }): Promise<{ bytes: number }>
  images(arrival: Arrival & { container: string; body: Readable }): Promise<{ bytes: number }>
}

interface LiveServerOptions {
  client: KubeClient
  nodeName: string
  uploads: Uploads
  live: LiveReceiver
}

/** @throws UploadRefused, or what the receiver throws */
export async function receiveLive(
  { client, nodeName, uploads, live }: LiveServerOptions,
  request: IncomingMessage,
  asked: LiveRequest,
  peerNode: string,
): Promise<{ bytes: number }> {
  const { target, ask } = asked
  if (request.method !== methodOf(ask)) {
    throw new UploadRefused(405, 'UnknownRequest', `${request.method} is not how ${nameOf(ask)} is asked for`)
  }
  // Known as active before the Migration is read: whoever decides against it from now on ends this too.
  const upload = await uploads.begin(target.migrationUID, `live/${thingOf(ask)}`)
  const onAbort = () => request.destroy(upload.signal.reason as Error)
  upload.signal.addEventListener('abort', onAbort, { once: true })
  try {
    const migration = await client.get(MIGRATIONS, target.namespace, target.migrationName).catch((error) => {
      if (!isNotFound(error)) throw error
      const message = `there is no Migration ${target.namespace}/${target.migrationName}`
      throw new UploadRefused(404, 'MigrationNotFound', message)
    })
    const refusal = judgeLive(migration, asked, peerNode, nodeName)
    if (refusal) throw new UploadRefused(refusal.status, refusal.reason, refusal.message)
    upload.signal.throwIfAborted()
    const arrival = { target, migration, signal: upload.signal }
    switch (ask.what) {
      case 'begin': {
        const parsed = beginSchema.safeParse(await json(request).catch(() => undefined))
        if (!parsed.success)
          throw new UploadRefused(400, 'BadRequest', `the body is none of ours: ${parsed.error.message}`)
        const { address: peerAddress, containers } = parsed.data
        await live.begin({ ...arrival, peerNode, peerAddress, containers })
        return { bytes: 0 }
      }
      case 'files':
        return await live.files({ ...arrival, root: ask.root, level: ask.level, body: request })
      case 'images':
        return await live.images({ ...arrival, container: ask.container, body: request })
    }
  } finally {
    upload.signal.removeEventListener('abort', onAbort)
    upload.end()
  }
}
