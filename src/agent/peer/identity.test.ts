import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { NAMESPACE } from '../../api/names.ts'
import { NODES } from '../../api/resources.ts'
import { issueAgentCertificate, type KeyPair, makeAuthority } from '../../controller/certificates/issue.ts'
import { parseRequest } from '../../controller/certificates/request.ts'
import { createClient } from '../../kube/client.ts'
import type { Clock } from '../../kube/clock.ts'
import { startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import { CONFIG_MAPS } from './config-map.ts'
import { createAgentIdentity, renewalDue } from './identity.ts'
import { SIGNING_REQUESTS } from './signing-request.ts'
import { makeIdentity } from './testing/identities.ts'

const DAY = 24 * 3600_000
const log = pino({ enabled: false })

/** Runs a hundred times as fast: a look at the authority comes every 600 ms. */
function fastClock(): Clock & { skip(ms: number): void } {
  const began = Date.now()
  let skipped = 0
  return {
    now: () => (Date.now() - began) * 100 + skipped,
    date: () => new Date(began + skipped),
    after(ms, callback) {
      const timer = setTimeout(callback, ms / 100)
      return () => clearTimeout(timer)
    },
    skip: (ms) => {
      skipped += ms
    },
  }
}

/** A cluster whose controller signs whatever is asked. */
async function aCluster(clock: Clock) {
  const api = await startFakeApiServer()
  const client = createClient({ connection: api.connection(), role: 'test' })
  api.seed(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-1', uid: 'n', resourceVersion: '1', creationTimestamp: '' },
  })
  let authority = await makeAuthority(clock.date(), 10 * DAY)
  const metadata = { namespace: NAMESPACE, name: 'podferry-agent-ca' }
  const publish = async (...authorities: KeyPair[]) => {
    const data = { 'ca.crt': authorities.map(({ cert }) => `${cert}\n`).join('') }
    const known = api.objects(CONFIG_MAPS)[0]
    if (known) await client.replace(CONFIG_MAPS, { ...known, data })
    else await client.create(CONFIG_MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data })
  }
  await publish(authority)
  const signing = setInterval(async () => {
    for (const request of api.objects(SIGNING_REQUESTS)) {
      if (request.status?.certificate) continue
      const { publicKey } = await parseRequest(Buffer.from(request.spec.request, 'base64').toString('utf8'))
      const subject = { node: 'node-1', addresses: [], publicKey, life: DAY / 1000 }
      const certificate = Buffer.from(await issueAgentCertificate(authority, subject, clock.date())).toString('base64')
      await client.replaceStatus(SIGNING_REQUESTS, { ...request, status: { certificate } }).catch(() => {})
    }
  }, 20)
  return {
    ...{ api, client, publish },
    get authority() {
      return authority
    },
    async rotate() {
      authority = await makeAuthority(clock.date(), 10 * DAY)
      return authority
    },
    async [Symbol.asyncDispose]() {
      clearInterval(signing)
      await api[Symbol.asyncDispose]()
    },
  }
}

const until = async (what: () => boolean) => {
  for (let tries = 0; !what(); tries++) {
    assert.ok(tries < 1000, 'waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('agent identity', () => {
  it('is renewed at two thirds of its life, and everybody who asked is told', async () => {
    const clock = fastClock()
    await using cluster = await aCluster(clock)
    const identity = createAgentIdentity({ client: cluster.client, log, nodeName: 'node-1', podUID: 'p', clock })
    const told: string[] = []
    identity.onChange(({ cert }) => told.push(cert))
    const stop = new AbortController()
    const running = identity.run(stop.signal)
    await identity.ready()
    const first = identity.current()
    clock.skip(DAY / 2)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.equal(identity.current().cert, first.cert, 'not before its time')
    clock.skip(DAY / 4)
    await until(() => identity.current().cert !== first.cert)
    assert.notEqual(identity.current().key, first.key, 'the key is a new one too')
    assert.deepEqual(told, [first.cert, identity.current().cert])
    stop.abort()
    await running
  })

  it('takes over a further authority at once, and a new certificate when its own authority goes', async () => {
    const clock = fastClock()
    await using cluster = await aCluster(clock)
    const identity = createAgentIdentity({ client: cluster.client, log, nodeName: 'node-1', podUID: 'p', clock })
    const stop = new AbortController()
    const running = identity.run(stop.signal)
    await identity.ready()
    const first = identity.current()
    const old = cluster.authority
    const next = await cluster.rotate()
    await cluster.publish(old, next)
    await until(() => identity.current().ca !== first.ca)
    assert.equal(identity.current().cert, first.cert)
    await cluster.publish(next)
    await until(() => identity.current().cert !== first.cert)
    assert.ok(new X509Certificate(identity.current().cert).checkIssued(new X509Certificate(next.cert)))
    stop.abort()
    await running
  })
})

describe('renewalDue', () => {
  it('comes with two thirds of the life', async () => {
    const at = new Date('2026-01-01T00:00:00Z')
    const identity = await makeIdentity({ authority: await makeAuthority(at, DAY), node: 'node-1', at })
    // An hour, and five minutes before `at` for clocks that differ.
    assert.equal(renewalDue(identity, new Date('2026-01-01T00:38:19Z')), false)
    assert.equal(renewalDue(identity, new Date('2026-01-01T00:38:20Z')), true)
  })
})
