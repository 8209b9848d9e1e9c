/** Two agents on the loopback with certificates of a real authority. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import { makeAuthority } from '../../controller/certificates/issue.ts'
import { PodferryError } from '../../errors.ts'
import { createClient } from '../../kube/client.ts'
import { startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import { sendArchive } from './client.ts'
import { fixedIdentity, type IdentityHolder, type PeerIdentity } from './identity.ts'
import { type ArrivedArchive, startPeerServer } from './server.ts'
import { makeIdentity } from './testing/identities.ts'
import { Uploads } from './uploads.ts'

const UID = '5f2a1c3e-0000-4000-8000-000000000001'
const HOUR = 3600_000
const MiB = 1024 * 1024
const log = pino({ enabled: false })

const authority = await makeAuthority(new Date(Date.now() - HOUR), 24 * HOUR)
const foreign = await makeAuthority(new Date(Date.now() - HOUR), 24 * HOUR)
const node1 = await makeIdentity({ authority, node: 'node-1' })
const node2 = await makeIdentity({ authority, node: 'node-2' })

const condition = (type: string, status: 'True' | 'False') => ({
  type,
  status,
  reason: 'R',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
})

const migration: Migration = {
  apiVersion: 'podferry.dev/v1alpha1',
  kind: 'Migration',
  metadata: {
    name: 'move',
    namespace: 'default',
    uid: UID,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { podName: 'p', mode: 'Auto', connections: 'Auto', timeoutSeconds: 600 },
  status: {
    source: { node: 'node-1', podUID: 'x' },
    destination: { node: 'node-2' },
    containers: [{ name: 'main', image: 'i', imageID: 'i@sha256:0' }],
    conditions: [condition('Accepted', 'True'), condition('DestinationReady', 'True')],
  },
}

/** An identity that a test can renew. */
function renewable(first: PeerIdentity): IdentityHolder & { renew(next: PeerIdentity): void } {
  let identity = first
  const listeners: ((identity: PeerIdentity) => void)[] = []
  return {
    current: () => identity,
    onChange: (listener) => listeners.push(listener),
    renew(next) {
      identity = next
      for (const listener of listeners) listener(next)
    },
  }
}

/** Reads everything and remembers its digest; slow on request. */
function sink({ stallAt = Number.POSITIVE_INFINITY } = {}) {
  const seen = { bytes: 0, digest: '', stalled: false, aborted: 0 }
  const store = async ({ body, signal }: ArrivedArchive) => {
    const hash = createHash('sha256')
    let bytes = 0
    signal.addEventListener('abort', () => seen.aborted++)
    for await (const chunk of body) {
      hash.update(chunk)
      bytes += chunk.length
      seen.bytes = bytes
      if (bytes < stallAt) continue
      seen.stalled = true
      await delay(10_000, undefined, { signal })
    }
    seen.digest = hash.digest('hex')
    return { manifestDigest: `sha256:${seen.digest}`, size: bytes }
  }
  return { seen, store }
}

describe('two agents', () => {
  let folder = ''
  let archivePath = ''
  let digest = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podferry-peer-'))
    archivePath = join(folder, 'archive.tar')
    const bytes = randomBytes(9 * MiB + 17)
    digest = createHash('sha256').update(bytes).digest('hex')
    await writeFile(archivePath, bytes)
  })
  after(() => rm(folder, { recursive: true }))

  const start = async (
    identity: IdentityHolder = fixedIdentity(node2),
    target: ReturnType<typeof sink> = sink(),
    makeRoom: (bytes: number) => Promise<void> = async () => {},
  ) => {
    const api = await startFakeApiServer()
    api.seed(MIGRATIONS, migration)
    const uid = api.objects(MIGRATIONS)[0]?.metadata.uid ?? ''
    const client = createClient({ connection: api.connection(), role: 'test' })
    const uploads = new Uploads()
    const arrived: string[] = []
    const server = await startPeerServer({
      identity,
      client,
      log,
      nodeName: 'node-2',
      address: '127.0.0.1',
      port: 0,
      uploads,
      makeRoom,
      store: target.store,
      onStored: ({ container }) => arrived.push(container),
    })
    const send = (options: Partial<Parameters<typeof sendArchive>[0]> = {}) =>
      sendArchive({
        identity: fixedIdentity(node1),
        node: { name: 'node-2', address: '127.0.0.1' },
        port: server.port,
        namespace: 'default',
        migrationName: 'move',
        migrationUID: uid,
        container: 'main',
        archivePath,
        signal: new AbortController().signal,
        ...options,
      })
    return {
      ...{ api, client, uploads, arrived, send, seen: target.seen, port: server.port, uid },
      async [Symbol.asyncDispose]() {
        await server.close()
        await api[Symbol.asyncDispose]()
      },
    }
  }

  it('carry an archive over unchanged, as often as it is sent', async () => {
    await using peers = await start()
    const progress: number[] = []
    const stored = await peers.send({ onProgress: (bytes) => progress.push(bytes) })
    assert.deepEqual(stored, { manifestDigest: `sha256:${digest}`, size: 9 * MiB + 17 })
    assert.equal(progress.at(-1), 9 * MiB + 17)
    assert.deepEqual(await peers.send(), stored)
    assert.deepEqual(peers.arrived, ['main', 'main'])
    assert.equal(peers.uploads.isActive(peers.uid), false)
  })

  const untrusted: [sentence: string, identity: () => Promise<PeerIdentity>][] = [
    ['of a foreign authority', () => makeIdentity({ authority: foreign, node: 'node-1', ca: authority.cert })],
    ['that has expired', () => makeIdentity({ authority, node: 'node-1', at: new Date(Date.now() - 2 * HOUR) })],
    ['that is not valid yet', () => makeIdentity({ authority, node: 'node-1', at: new Date(Date.now() + HOUR) })],
  ]
  for (const [sentence, identity] of untrusted) {
    it(`refuse a sender with a certificate ${sentence}`, async () => {
      await using peers = await start()
      await assert.rejects(peers.send({ identity: fixedIdentity(await identity()) }), (error: PodferryError) => {
        assert.match(error.reason, /^Peer(Untrusted|Unreachable)$/)
        return true
      })
      assert.equal(peers.seen.bytes, 0)
    })
  }

  it('refuse a sender without a certificate', async () => {
    await using peers = await start()
    const request = https.request({
      host: '127.0.0.1',
      port: peers.port,
      ca: node1.ca,
      servername: 'node-2.agents.podferry.dev',
      agent: false,
    })
    await assert.rejects(
      new Promise((resolve, reject) => request.once('response', resolve).once('error', reject).end()),
      /certificate required|ECONNRESET|socket hang up/,
    )
  })

  it('refuse plaintext', async () => {
    await using peers = await start()
    const request = http.request({ host: '127.0.0.1', port: peers.port, agent: false })
    await assert.rejects(
      new Promise((resolve, reject) => request.once('response', resolve).once('error', reject).end()),
      /hang up|ECONNRESET|Parse Error|EPIPE/,
    )
  })

  it('send nothing to a node that is another one', async () => {
    await using peers = await start(fixedIdentity(await makeIdentity({ authority, node: 'node-3' })))
    await assert.rejects(peers.send(), { reason: 'PeerUntrusted' })
    assert.equal(peers.seen.bytes, 0)
  })

  it('send nothing to a server of a foreign authority', async () => {
    await using peers = await start(
      fixedIdentity(await makeIdentity({ authority: foreign, node: 'node-2', ca: authority.cert })),
    )
    await assert.rejects(peers.send(), { reason: 'PeerUntrusted' })
    assert.equal(peers.seen.bytes, 0)
  })

  it('refuse an agent that is not the source, before any byte of the body', async () => {
    await using peers = await start()
    const other = fixedIdentity(await makeIdentity({ authority, node: 'node-3' }))
    await assert.rejects(peers.send({ identity: other }), { reason: 'NotTheSource', status: 403 })
    assert.equal(peers.seen.bytes, 0)
  })

  it('refuse what no longer is wanted', async () => {
    await using peers = await start()
    const [stored] = peers.api.objects(MIGRATIONS)
    assert.ok(stored)
    const status = { ...stored.status, conditions: [condition('Committed', 'False')] }
    await peers.client.replaceStatus(MIGRATIONS, { ...stored, status })
    await assert.rejects(peers.send(), { reason: 'AlreadyDecided', status: 409 })
  })

  it('refuse what does not fit on the disk', async () => {
    const full = async () => {
      throw new PodferryError({ reason: 'DiskTooSmall', message: 'full' })
    }
    await using peers = await start(undefined, undefined, full)
    await assert.rejects(peers.send(), { reason: 'DiskTooSmall', status: 507 })
    assert.equal(peers.uploads.isActive(peers.uid), false)
  })

  it('hold the sender back when the registry is slow', async () => {
    const big = join(folder, 'big.tar')
    await writeFile(big, Buffer.alloc(64 * MiB))
    const target = sink({ stallAt: MiB })
    await using peers = await start(undefined, target)
    const stop = new AbortController()
    let sent = 0
    const sending = peers.send({ archivePath: big, signal: stop.signal, onProgress: (bytes) => (sent = bytes) })
    sending.catch(() => {})
    while (!target.seen.stalled) await delay(10)
    await delay(300)
    assert.ok(sent < 48 * MiB, `${sent} bytes left although only ${target.seen.bytes} were taken`)
    stop.abort()
    await assert.rejects(sending, { name: 'AbortError' })
  })

  it('let a newer upload of the same container take over', async () => {
    const target = sink({ stallAt: MiB })
    await using peers = await start(undefined, target)
    const first = peers.send()
    const firstEnd = assert.rejects(first)
    while (!target.seen.stalled) await delay(10)
    const second = peers.send()
    second.catch(() => {})
    await firstEnd
    assert.ok(target.seen.aborted > 0)
    await peers.uploads.abort(peers.uid)
    await assert.rejects(second)
    assert.equal(peers.uploads.isActive(peers.uid), false)
  })

  it('use a renewed certificate for the next connection, without a restart', async () => {
    const identity = renewable(node2)
    await using peers = await start(identity)
    await peers.send()
    const renewed = await makeAuthority(new Date(Date.now() - HOUR), 24 * HOUR)
    const both = `${authority.cert}\n${renewed.cert}`
    identity.renew(await makeIdentity({ authority: renewed, node: 'node-2', ca: both }))
    await assert.rejects(peers.send(), { reason: 'PeerUntrusted' })
    await peers.send({ identity: fixedIdentity({ ...node1, ca: both }) })
    await peers.send({ identity: fixedIdentity(await makeIdentity({ authority: renewed, node: 'node-1', ca: both })) })
  })
})
