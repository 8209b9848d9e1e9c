/** A source agent, its network and a destination agent that takes what mode Live sends, on the loopback. */
import net from 'node:net'
import { buffer } from 'node:stream/consumers'
import { pino } from 'pino'
import type { ConditionType } from '../../../api/conditions.ts'
import type { Migration } from '../../../api/migration.ts'
import { MIGRATIONS } from '../../../api/resources.ts'
import { makeAuthority } from '../../../controller/certificates/issue.ts'
import { createClient } from '../../../kube/client.ts'
import { startFakeApiServer } from '../../../kube/testing/fake-api-server.ts'
import { fixedIdentity } from '../identity.ts'
import { openLivePeer } from '../live-client.ts'
import type { LiveReceiver } from '../live-server.ts'
import { startPeerServer } from '../server.ts'
import { Uploads } from '../uploads.ts'
import { makeIdentity } from './identities.ts'

const HOUR = 3600_000
export const UID = '5f2a1c3e-0000-4000-8000-000000000001'

export const authority = await makeAuthority(new Date(Date.now() - HOUR), 24 * HOUR)
const [source, destination] = await Promise.all(
  ['node-1', 'node-2'].map(async (node) => fixedIdentity(await makeIdentity({ authority, node }))),
)

export const aLiveMigration = (
  truths: Partial<Record<ConditionType, 'True' | 'False' | 'Unknown'>> = {},
): Migration => ({
  apiVersion: 'podferry.dev/v1alpha1',
  kind: 'Migration',
  metadata: {
    ...{ name: 'move', namespace: 'default', uid: UID, resourceVersion: '1' },
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { podName: 'p', mode: 'Auto', connections: 'Auto', timeoutSeconds: 600 },
  status: {
    mode: 'Live',
    source: { node: 'node-1', podUID: 'x' },
    destination: { node: 'node-2' },
    containers: [{ name: 'main', image: 'i', imageID: 'i@sha256:0' }],
    conditions: Object.entries({ Accepted: 'True' as const, DestinationReady: 'True' as const, ...truths }).map(
      ([type, status]) => ({ type, status, reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }),
    ),
  },
})

/** Keeps what arrives whole, by what it is. */
export function keeper() {
  const whole = new Map<string, Buffer | object>()
  const begun: string[] = []
  const failed: string[] = []
  const take = async (what: string, body: NodeJS.ReadableStream) => {
    begun.push(what)
    try {
      const bytes = await buffer(body)
      whole.set(what, bytes)
      return { bytes: bytes.length }
    } catch (error) {
      failed.push(what)
      throw error
    }
  }
  const receiver: LiveReceiver = {
    begin: async ({ peerNode, peerAddress, containers }) =>
      void whole.set('begin', { peerNode, peerAddress, containers }),
    files: ({ root, level, body }) => take(`${root}/${level}`, body),
    images: ({ container, body }) => take(container, body),
  }
  return { whole, begun, failed, receiver }
}

/** Counts connections, and cuts them. */
async function startNetwork(target: number) {
  const sockets = new Set<net.Socket>()
  const seen = { connections: 0 }
  const server = net.createServer((here) => {
    seen.connections++
    const there = net.connect(target, '127.0.0.1')
    for (const socket of [here, there]) {
      sockets.add(socket)
      socket
        .on('error', () => {})
        .on('close', (isBroken: boolean) => {
          sockets.delete(socket)
          // A reset on one side is one on the other: else it would wait for ever.
          if (isBroken) for (const end of [here, there]) end.destroy()
        })
    }
    here.pipe(there).pipe(here)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const close = () => {
    cut()
    server.close()
  }
  return { seen, cut, port: (server.address() as net.AddressInfo).port, close }
}

interface Wish {
  migration?: Migration
  receiver?: LiveReceiver | undefined
  /** Of the server. Default that of node-2. */
  identity?: typeof destination
}

export async function startLivePeers({ migration = aLiveMigration(), receiver, identity = destination }: Wish = {}) {
  const api = await startFakeApiServer()
  api.seed(MIGRATIONS, migration)
  const migrationUID = api.objects(MIGRATIONS)[0]?.metadata.uid ?? ''
  const uploads = new Uploads()
  const refuse = async () => {
    throw new Error('no archive is expected')
  }
  if (!source || !identity) throw new Error('identities are missing')
  const server = await startPeerServer({
    ...{ identity, client: createClient({ connection: api.connection(), role: 'test' }), uploads, port: 0 },
    ...{ log: pino({ enabled: false }), nodeName: 'node-2', address: '127.0.0.1' },
    ...{ makeRoom: refuse, store: refuse, onStored: () => {} },
    ...(receiver ? { live: receiver } : {}),
  })
  const network = await startNetwork(server.port)
  const stop = new AbortController()
  const open = (options: Partial<Parameters<typeof openLivePeer>[0]> = {}) =>
    openLivePeer({
      ...{
        identity: source,
        node: { name: 'node-2', address: '127.0.0.1' },
        port: network.port,
        selfAddress: '10.0.0.1',
      },
      ...{ namespace: 'default', migrationName: 'move', migrationUID, signal: stop.signal },
      ...options,
    })
  return {
    ...{ uploads, network, open, stop, migrationUID },
    async [Symbol.asyncDispose]() {
      stop.abort()
      network.close()
      await server.close()
      await api[Symbol.asyncDispose]()
    },
  }
}
