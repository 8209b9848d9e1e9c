/** What mode Live sends, between two agents on the loopback with certificates of a real authority. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { makeAuthority } from '../../controller/certificates/issue.ts'
import { PodferryError } from '../../errors.ts'
import { fixedIdentity } from './identity.ts'
import { makeIdentity } from './testing/identities.ts'
import { aLiveMigration, authority, keeper, startLivePeers } from './testing/live.ts'

const MiB = 1024 * 1024
const HOUR = 3600_000
const bodyOf = (...chunks: Buffer[]) => Readable.from(chunks)
const ROOT = 'layer:main'

/** A body that gives its first bytes and then nothing until it is ended or destroyed. */
const halfBody = () => {
  const body = new PassThrough()
  body.on('error', () => {})
  body.write(randomBytes(1000))
  return body
}
const until = async (is: () => boolean) => {
  while (!is()) await delay(5)
}

describe('the agents of a live move', () => {
  it('tell of keepers, and carry files and images over unchanged', async () => {
    const { whole, receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    const peer = peers.open()
    const [files, images] = [randomBytes(3 * MiB + 5), randomBytes(70_000)]
    await peer.begin({ containers: [{ name: 'main', pagePort: 4711 }] })
    assert.deepEqual(await peer.sendFiles({ root: ROOT, level: 0, body: bodyOf(files) }), { bytes: files.length })
    await Promise.all([
      peer.sendFiles({ root: ROOT, level: 1, body: bodyOf() }),
      peer.sendFiles({ root: 'shm', level: 1, body: bodyOf(files) }),
      peer.sendImages({ container: 'main', body: bodyOf(images) }),
    ])
    const begun = { peerNode: 'node-1', peerAddress: '10.0.0.1', containers: [{ name: 'main', pagePort: 4711 }] }
    assert.deepEqual(whole.get('begin'), begun)
    assert.ok(files.equals(whole.get(`${ROOT}/0`) as Buffer))
    assert.ok(files.equals(whole.get('shm/1') as Buffer))
    assert.ok(images.equals(whole.get('main') as Buffer))
    assert.equal(whole.get(`${ROOT}/1`) instanceof Buffer, true)
    assert.equal(peers.uploads.isActive(peers.migrationUID), false)
  })

  it('keep their connection for what follows', async () => {
    const { receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    const peer = peers.open()
    for (let index = 0; index < 5; index++)
      await peer.sendFiles({ root: ROOT, level: 1, body: bodyOf(randomBytes(MiB)) })
    assert.equal(peers.network.seen.connections, 1)
    // After a cut the next one fails at once or goes by a new connection: never does it hang.
    peers.network.cut()
    await peer.sendFiles({ root: ROOT, level: 1, body: bodyOf() }).catch(() => {})
    await peer.sendFiles({ root: ROOT, level: 1, body: bodyOf() })
    assert.equal(peers.network.seen.connections, 2)
  })

  it('refuse a sender with a certificate of a foreign authority', async () => {
    const { begun, receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    const foreign = await makeAuthority(new Date(Date.now() - HOUR), 24 * HOUR)
    const identity = fixedIdentity(await makeIdentity({ authority: foreign, node: 'node-1', ca: authority.cert }))
    await assert.rejects(peers.open({ identity }).sendFiles({ root: ROOT, level: 0, body: halfBody() }), {
      reason: /^Peer(Untrusted|Unreachable)$/,
    })
    assert.deepEqual(begun, [])
  })

  it('send nothing to a node that is another one', async () => {
    const { begun, receiver } = keeper()
    const identity = fixedIdentity(await makeIdentity({ authority, node: 'node-3' }))
    await using peers = await startLivePeers({ receiver, identity })
    await assert.rejects(peers.open().sendImages({ container: 'main', body: halfBody() }), { reason: 'PeerUntrusted' })
    assert.deepEqual(begun, [])
  })

  const refused: [sentence: string, migration: ReturnType<typeof aLiveMigration>, reason: string, node?: string][] = [
    ['an agent that is not the source', aLiveMigration(), 'NotTheSource', 'node-3'],
    ['what is decided', aLiveMigration({ Committed: 'True' }), 'AlreadyDecided'],
    ['what was given up', aLiveMigration({ Checkpointed: 'False' }), 'AlreadyDecided'],
  ]
  for (const [sentence, migration, reason, node] of refused) {
    it(`refuse ${sentence}, before any byte of the body`, async () => {
      const { begun, receiver } = keeper()
      await using peers = await startLivePeers({ receiver, migration })
      const identity = node ? { identity: fixedIdentity(await makeIdentity({ authority, node })) } : {}
      const peer = peers.open(identity)
      await assert.rejects(peer.sendFiles({ root: ROOT, level: 0, body: halfBody() }), { reason })
      await assert.rejects(peer.begin({ containers: [{ name: 'main', pagePort: 1 }] }), { reason })
      assert.deepEqual(begun, [])
      assert.equal(peers.uploads.isActive(peers.migrationUID), false)
    })
  }

  it('refuse a beginning that is none', async () => {
    const { receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    await assert.rejects(peers.open().begin({ containers: [{ name: 'main', pagePort: 70_000 }] }), {
      reason: 'BadRequest',
      status: 400,
    })
  })

  it('refuse everything where no receiver is', async () => {
    await using peers = await startLivePeers()
    await assert.rejects(peers.open().sendImages({ container: 'main', body: bodyOf() }), { reason: 'UnknownRequest' })
  })

  it('say why something was not taken, and whether to try again', async () => {
    const { receiver } = keeper()
    const errors = [
      new PodferryError({ reason: 'DiskTooSmall', message: 'full' }),
      new PodferryError({ reason: 'CopyFailed', message: 'tar said so', retry: 'backoff' }),
      new Error('oops'),
    ]
    const files = async () => {
      throw errors.shift()
    }
    await using peers = await startLivePeers({ receiver: { ...receiver, files } })
    for (const [reason, status] of [
      ['DiskTooSmall', 507],
      ['CopyFailed', 503],
      ['InternalError', 500],
    ] as const) {
      const body = bodyOf(randomBytes(4 * MiB))
      await assert.rejects(peers.open().sendFiles({ root: ROOT, level: 0, body }), { reason, status, retry: 'backoff' })
      assert.ok(body.destroyed)
    }
  })

  it('never take a body that breaks off for a whole one', async () => {
    const { begun, whole, failed, receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    const breaks: [sentence: string, how: (body: PassThrough) => void][] = [
      ['packing failed', (body) => body.destroy(new Error('tar failed'))],
      ['packing was given up', (body) => body.destroy()],
      ['the link was cut', () => peers.network.cut()],
    ]
    for (const [index, [sentence, breakOff]] of breaks.entries()) {
      const body = halfBody()
      const sending = peers.open().sendFiles({ root: ROOT, level: 0, body })
      const refused = assert.rejects(sending, PodferryError, sentence)
      await until(() => begun.length > index)
      breakOff(body)
      await refused
      await until(() => failed.length > index)
      assert.ok(body.destroyed, sentence)
    }
    assert.equal(whole.size, 0)
  })

  it('let a newer one of the same thing take over, and nothing else', async () => {
    const { begun, whole, failed, receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    const peer = peers.open()
    const other = halfBody()
    const images = peer.sendImages({ container: 'main', body: other })
    const first = assert.rejects(peer.sendFiles({ root: ROOT, level: 0, body: halfBody() }), {
      reason: 'PeerUnreachable',
    })
    await until(() => begun.length === 2)
    // Both levels write into the same folder.
    await peer.sendFiles({ root: ROOT, level: 1, body: bodyOf(randomBytes(10)) })
    await first
    assert.deepEqual(failed, [`${ROOT}/0`])
    other.end()
    assert.deepEqual(await images, { bytes: 1000 })
    assert.deepEqual([...whole.keys()], [`${ROOT}/1`, 'main'])
  })

  it('end everything when nobody wants it any more, on either side', async () => {
    const { begun, failed, receiver } = keeper()
    await using peers = await startLivePeers({ receiver })
    const peer = peers.open()
    const ended = [
      assert.rejects(peer.sendFiles({ root: ROOT, level: 1, body: halfBody() }), { reason: 'PeerUnreachable' }),
      assert.rejects(peer.sendImages({ container: 'main', body: halfBody() }), { reason: 'PeerUnreachable' }),
    ]
    await until(() => begun.length === 2)
    await peers.uploads.abort(peers.migrationUID)
    assert.equal(failed.length, 2)
    await Promise.all(ended)

    const body = halfBody()
    const stopped = assert.rejects(peer.sendImages({ container: 'main', body }), { name: 'AbortError' })
    await until(() => begun.length === 3)
    peers.stop.abort()
    await stopped
    assert.ok(body.destroyed)
    await until(() => failed.length === 3)
  })
})
