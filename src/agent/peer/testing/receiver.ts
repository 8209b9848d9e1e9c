/** An agent's receiving end in a process of its own, so that its memory can be measured: reads archives and throws them away. */
import { createHash } from 'node:crypto'
import { pino } from 'pino'
import type { KubeClient } from '../../../kube/client.ts'
import { fixedIdentity, type PeerIdentity } from '../identity.ts'
import { startPeerServer } from '../server.ts'
import { Uploads } from '../uploads.ts'

const { identity, migration } = JSON.parse(process.env.RECEIVER ?? '{}') as {
  identity: PeerIdentity
  migration: object
}

const server = await startPeerServer({
  identity: fixedIdentity(identity),
  client: { get: async () => migration } as unknown as KubeClient,
  log: pino({ enabled: false }),
  nodeName: identity.node,
  address: '127.0.0.1',
  port: 0,
  uploads: new Uploads(),
  makeRoom: async () => {},
  async store({ body }) {
    const hash = createHash('sha256')
    let size = 0
    for await (const chunk of body) {
      hash.update(chunk)
      size += chunk.length
    }
    return { manifestDigest: `sha256:${hash.digest('hex')}`, size }
  },
  onStored: () => process.send?.({ peak: process.resourceUsage().maxRSS / 1024 }),
})
process.send?.({ port: server.port })
