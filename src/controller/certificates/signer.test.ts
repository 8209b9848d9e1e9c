import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { createAgentIdentity } from '../../agent/peer/identity.ts'
import { AGENT_USERNAME } from '../../agent/peer/names.ts'
import { SIGNING_REQUESTS, type SigningRequest } from '../../agent/peer/signing-request.ts'
import { NODES, PODS } from '../../api/resources.ts'
import { createClient } from '../../kube/client.ts'
import { startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import { createCertificateSigner } from './signer.ts'

const UID = '0a0a0a0a-0000-4000-8000-000000000002'
const meta = (name: string) => ({ name, uid: UID, resourceVersion: '1', creationTimestamp: new Date().toISOString() })
const log = pino({ enabled: false })

/** A cluster with one node and one agent pod; its API server says of every request that `node` made it. */
async function setUp({ node = 'node-1', time = () => new Date() } = {}) {
  const server = await startFakeApiServer()
  const client = createClient({ connection: server.connection(), role: 'test' })
  const addresses = [{ type: 'InternalIP', address: '10.0.0.1' }]
  server.seed(NODES, { apiVersion: 'v1', kind: 'Node', metadata: meta('node-1'), status: { addresses } })
  server.seed(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...meta('agent-x'), namespace: 'podferry-system' },
    spec: { nodeName: 'node-1', containers: [] },
  })
  const podUID = server.objects(PODS)[0]?.metadata.uid ?? ''
  server.rules.push(({ operation, object }) => {
    if (operation !== 'create' || object.kind !== 'CertificateSigningRequest') return undefined
    Object.assign((object as SigningRequest).spec, {
      username: AGENT_USERNAME,
      extra: {
        'authentication.kubernetes.io/node-name': [node],
        'authentication.kubernetes.io/pod-name': ['agent-x'],
        'authentication.kubernetes.io/pod-uid': [podUID],
      },
    })
    return undefined
  })
  const stopping = new AbortController()
  const signer = createCertificateSigner({ client, log, mayAct: () => true, now: time })
  const running = signer.run(stopping.signal)
  return {
    server,
    client,
    podUID,
    signal: stopping.signal,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
      await server[Symbol.asyncDispose]()
    },
  }
}

const until = async <T>(what: () => T | undefined): Promise<T> => {
  for (let tries = 0; tries < 400; tries++) {
    const found = what()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('waited in vain')
}

describe('certificate signer', () => {
  it("answers an agent's request, and the agent gets an identity that verifies", async () => {
    await using cluster = await setUp()
    const identity = createAgentIdentity({ client: cluster.client, log, nodeName: 'node-1', podUID: cluster.podUID })
    const running = identity.run(cluster.signal)
    await identity.ready()
    const { cert, ca } = identity.current()
    const certificate = new X509Certificate(cert)
    assert.equal(certificate.subject, 'O=podferry:agents\nCN=podferry:agent:node-1')
    assert.equal(certificate.subjectAltName, 'DNS:node-1.agents.podferry.dev, IP Address:10.0.0.1')
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
    assert.equal(certificate.ca, false)
    assert.ok(certificate.checkIssued(new X509Certificate(ca)))
    const hours = (certificate.validToDate.getTime() - Date.now()) / 3600_000
    assert.ok(hours > 23.9 && hours <= 24, `${hours}`)
    cluster.server.cutWatches()
    void running
  })

  it('denies with the reason, signs nothing, and the agent says why', async () => {
    await using cluster = await setUp({ node: 'node-2' })
    const identity = createAgentIdentity({ client: cluster.client, log, nodeName: 'node-1', podUID: cluster.podUID })
    void identity.run(cluster.signal)
    const denied = await until(() =>
      cluster.server
        .objects(SIGNING_REQUESTS)
        .find(({ status }) => status?.conditions?.some((c) => c.type === 'Denied')),
    )
    assert.equal(denied.status?.certificate, undefined)
    assert.equal(denied.status?.conditions?.[0]?.reason, 'PodElsewhere')
    assert.throws(() => identity.current(), { reason: 'IdentityPending' })
  })

  it('clears answered requests away after an hour', async () => {
    let ahead = 0
    await using cluster = await setUp({ time: () => new Date(Date.now() + ahead) })
    const identity = createAgentIdentity({ client: cluster.client, log, nodeName: 'node-1', podUID: cluster.podUID })
    void identity.run(cluster.signal)
    await identity.ready()
    ahead = 2 * 3600_000
    const [request] = cluster.server.objects(SIGNING_REQUESTS)
    assert.ok(request)
    // Any change wakes the signer.
    await cluster.client.patch(SIGNING_REQUESTS, undefined, request.metadata.name, {
      type: 'merge',
      body: { metadata: { labels: { touched: 'yes' } } },
    })
    await until(() => cluster.server.objects(SIGNING_REQUESTS).length === 0 || undefined)
  })
})
