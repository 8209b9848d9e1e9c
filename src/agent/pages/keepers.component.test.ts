/** Keepers in processes of their own; CRIU's page server and lazy-pages daemon are plain sockets here. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { eventually } from '../../../lab/scenario/eventually.ts'
import { makeAuthority } from '../../controller/certificates/issue.ts'
import { serverNameOf } from '../peer/names.ts'
import { makeIdentity } from '../peer/testing/identities.ts'
import type { KeeperPhase } from './keeper-state.ts'
import { authority, type End, identities, makeEnd, withKeepers } from './testing/keeper-pair.ts'

const MiB = 1 << 20
const ABORT = Buffer.alloc(64, 0xff)
/** Long enough for what must not happen to happen. */
const QUIET_MS = 400

const reaches = (end: End, phase: KeeperPhase) =>
  eventually(`the keeper is ${phase}`, async () => (await end.keepers.state(end.folder))?.phase === phase, 8000, 20)

const connected = (end: End) =>
  eventually('the twins are connected', async () => (await end.keepers.state(end.folder))?.connected, 8000, 20)

/** Process IDs of all programs that are keepers there, whoever knows of them. */
async function keepersIn(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const is = async (pid: string) => {
    const [program, ...words] = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
    return program === process.execPath && words.includes(folder)
  }
  const found = await Promise.all(pids.map(async (pid) => ((await is(pid)) ? [pid] : [])))
  return found.flat()
}

/** Sends random bytes, never more than the socket takes. @returns their checksum */
async function send(socket: Socket, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = bytes; left > 0; ) {
    const chunk = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 200_000)))
    hash.update(chunk)
    left -= chunk.length
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  return hash.digest('hex')
}

async function receive(socket: Socket, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = bytes
  const take = (chunk: Buffer) => {
    hash.update(chunk)
    left -= chunk.length
    if (left <= 0) resolve()
  }
  socket.on('data', take)
  socket.resume()
  await promise
  socket.off('data', take)
  assert.equal(left, 0)
  return hash.digest('hex')
}

/** @returns what has come until now, growing */
function gather(socket: Socket): { bytes(): Buffer; ended(): boolean } {
  const chunks: Buffer[] = []
  let ended = false
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.once('end', () => {
    ended = true
  })
  socket.once('close', () => {
    ended = true
  })
  socket.on('error', () => {})
  socket.resume()
  return { bytes: () => Buffer.concat(chunks), ended: () => ended }
}

test('over a link that is cut again and again 64 MiB go both ways, and the end is told when all is said to be delivered', () =>
  withKeepers(
    async ({ source, destination, exitFile, deliveredFile, link, startDaemon, openPageServer }) => {
      // What the daemon asks before CRIU is there waits for it.
      const daemon = await startDaemon()
      const asked = send(daemon, 64 * MiB)
      const criu = await openPageServer()
      const sums = await Promise.all([asked, receive(criu, 64 * MiB), send(criu, 64 * MiB), receive(daemon, 64 * MiB)])
      assert.equal(sums[1], sums[0])
      assert.equal(sums[3], sums[2])
      assert.ok(link.cuts() > 10, `${link.cuts()} cuts`)

      const seen = gather(criu)
      daemon.end('bye')
      await delay(QUIET_MS)
      assert.equal(seen.bytes().toString(), 'bye')
      assert.equal(seen.ended(), false, 'the end of the daemon alone is no end')
      await writeFile(exitFile, '0\n')
      await delay(QUIET_MS)
      assert.equal(seen.ended(), false, 'nor is its exit code: its processes may have been killed')
      await writeFile(deliveredFile, '0\n')
      await eventually('CRIU sees the end', async () => seen.ended(), 5000, 10)
      await reaches(source, 'finished')
      await reaches(destination, 'finished')
      await assert.rejects(source.keepers.abort(source.folder), { reason: 'KeeperRefused' })
      criu.end()
      for (const end of [source, destination]) {
        // The last one to go is the source's: its twin may come once more.
        if (end === destination)
          await eventually('it is gone', async () => (await end.processes()).length === 0, 5000, 20)
        assert.equal((await end.keepers.state(end.folder))?.phase, 'finished')
      }
    },
    { cutAfter: 5 * MiB },
  ))

test('what is asked and answered now and then arrives, also after the destination has made its holder', () =>
  withKeepers(async ({ startDaemon, openPageServer }) => {
    const daemon = await startDaemon()
    const criu = await openPageServer()
    for (let turn = 0; turn < 5; turn++) {
      const asked = receive(criu, 32)
      assert.equal(await send(daemon, 32), await asked)
      const answered = receive(daemon, 4096)
      assert.equal(await send(criu, 4096), await answered)
      await delay(100)
    }
  }))

test('a source keeps to its rate', () =>
  withKeepers(
    async ({ startDaemon, openPageServer }) => {
      const daemon = await startDaemon()
      const criu = await openPageServer()
      const began = performance.now()
      const arriving = receive(daemon, 8 * MiB)
      assert.equal(await send(criu, 8 * MiB), await arriving)
      // Less the tenth of a second that may pass at once.
      assert.ok(performance.now() - began > 850, `${performance.now() - began} ms`)
    },
    { bytesPerSecond: 8 * MiB },
  ))

test('a daemon that fails is never an end of the transfer', () =>
  withKeepers(async ({ source, destination, exitFile, deliveredFile, startDaemon, openPageServer }) => {
    // Of an earlier daemon: they say nothing about this one.
    await writeFile(exitFile, '0\n')
    await writeFile(deliveredFile, '0\n')
    const criu = gather(await openPageServer())
    await connected(source)
    await delay(QUIET_MS)
    await writeFile(exitFile, '')
    await writeFile(deliveredFile, '')
    const daemon = await startDaemon()
    await reaches(destination, 'open')
    daemon.destroy()
    await delay(QUIET_MS)
    assert.equal((await destination.keepers.state(destination.folder))?.phase, 'open')
    await writeFile(exitFile, '1\n')
    await reaches(destination, 'failed')
    await delay(QUIET_MS)
    assert.equal(criu.ended(), false)
    assert.equal((await source.keepers.state(source.folder))?.phase, 'open')
  }))

test('an abort reaches CRIU though it is busy sending', () =>
  withKeepers(async ({ source, destination, startDaemon, openPageServer }) => {
    const daemon = await startDaemon()
    const criu = await openPageServer()
    await connected(source)
    // Nobody reads at the destination: the window fills, and then CRIU's socket.
    const sending = send(criu, 40 * MiB)
    await delay(QUIET_MS)
    assert.ok(((await source.keepers.state(source.folder))?.sentBytes ?? 0) < 20 * MiB)
    await source.keepers.abort(source.folder)
    await sending
    const seen = gather(criu)
    await eventually('CRIU has heard it', async () => seen.bytes().length >= 64, 5000, 10)
    assert.deepEqual(seen.bytes(), ABORT)
    assert.equal(seen.ended(), false)
    await reaches(destination, 'aborted')
    const left = gather(daemon)
    await delay(QUIET_MS)
    assert.equal(left.ended(), false, 'the program at the destination must not find zeros')
  }))

test('a killed keeper ends nothing, and its holder aborts', () =>
  withKeepers(async ({ source, destination, startDaemon, openPageServer }) => {
    const daemon = gather(await startDaemon())
    const criu = await openPageServer()
    // The job's shell, the keeper and its holder, which the destination makes a moment later.
    await eventually('the destination holds, too', async () => (await destination.processes()).length === 3, 5000, 10)
    await source.killKeeper()
    await destination.killKeeper()
    const sending = send(criu, 40 * MiB)
    await delay(QUIET_MS)
    const seen = gather(criu)
    await delay(QUIET_MS)
    assert.deepEqual([seen.ended(), seen.bytes().length, daemon.ended()], [false, 0, false])
    assert.equal(await source.keepers.state(source.folder), undefined)
    const anew = { folder: source.folder, address: '127.0.0.1', peerNode: 'node-2' }
    await assert.rejects(source.keepers.startSource(anew), { reason: 'KeeperBusy' })

    await source.keepers.abort(source.folder)
    await sending
    await eventually('CRIU has heard it', async () => seen.bytes().length >= 64, 5000, 10)
    assert.deepEqual(seen.bytes(), ABORT)
    assert.equal(seen.ended(), false)
    criu.end()
    await eventually('the holder is gone', async () => (await source.processes()).length === 0, 5000, 20)
    await source.keepers.abort(source.folder)
  }))

test('CRIU that ends by itself has failed, and the twin hears of it', () =>
  withKeepers(async ({ source, destination, link, startDaemon, openPageServer }) => {
    const daemon = gather(await startDaemon())
    const criu = await openPageServer()
    await connected(destination)
    link.cut()
    criu.destroy()
    await reaches(source, 'failed')
    await reaches(destination, 'failed')
    await delay(QUIET_MS)
    assert.equal(daemon.ended(), false)
  }))

test('only the twin is let in', () =>
  withKeepers(async ({ source, twinPort, openPageServer, startDaemon }) => {
    const criu = await openPageServer()
    const daemon = await startDaemon()
    const { ca } = identities.destination
    const foreign = await makeAuthority(new Date(Date.now() - 1000), 3600_000)
    const other = await makeIdentity({ authority, node: 'node-3' })
    const forged = await makeIdentity({ authority: foreign, node: 'node-2' })
    for (const { key, cert } of [{ key: undefined, cert: undefined }, other, forged]) {
      const certificate = key === undefined || cert === undefined ? {} : { key, cert }
      const stranger = connect({
        host: '127.0.0.1',
        port: twinPort,
        servername: serverNameOf('node-1'),
        ca,
        ...certificate,
      })
      const heard = gather(stranger)
      stranger.once('secureConnect', () => stranger.write(Buffer.alloc(100)))
      await eventually('the stranger is sent away', async () => stranger.closed, 5000, 10)
      assert.equal(heard.bytes().length, 0)
    }
    // The twin's own link has not suffered.
    await connected(source)
    const [sent, got] = await Promise.all([send(criu, MiB), receive(daemon, MiB)])
    assert.equal(got, sent)
  }))

test('a destination whose twin is another node than it was told stays alone', () =>
  withKeepers(
    async ({ source, destination }) => {
      await delay(2 * QUIET_MS)
      for (const end of [source, destination]) {
        assert.equal((await end.keepers.state(end.folder))?.connected, false)
      }
      const log = await readFile(join(destination.folder, 'keeper.log'), 'utf8')
      assert.match(log, /ERR_TLS_CERT_ALTNAME_INVALID|does not match/)
    },
    { expectedSource: 'node-9' },
  ))

test('a keeper is asked for twice and started once; politeness does not end it; its key is not on show', () =>
  withKeepers(async ({ source, startDaemon, twinPort, destination }) => {
    const wish = { folder: source.folder, address: '127.0.0.1', peerNode: 'node-2' }
    assert.deepEqual(await source.keepers.startSource(wish), { port: twinPort })
    const pids = await source.processes()
    for (const pid of pids) {
      const shown = await readFile(`/proc/${pid}/cmdline`, 'utf8')
      if (shown.startsWith(process.execPath)) process.kill(pid, 'SIGTERM')
      assert.doesNotMatch(shown + (await readFile(`/proc/${pid}/environ`, 'utf8')), /PRIVATE KEY/)
    }
    await delay(QUIET_MS)
    assert.deepEqual(await source.processes(), pids)
    await startDaemon()
    await reaches(destination, 'open')
    await assert.rejects(startDaemon(), { code: 'ECONNREFUSED' })
    const state = await destination.keepers.state(destination.folder)
    assert.ok(state && state.silentMs < 3000)
    // Another twin: one that only waits is replaced.
    await source.keepers.startSource({ ...wish, peerNode: 'node-4' })
    assert.ok((await source.processes()).every((pid) => !pids.includes(pid)))
    await source.keepers.abort(source.folder)
    assert.equal((await source.keepers.state(source.folder))?.phase, 'aborted')
  }))

test('a dump that fails before a daemon has come frees the place for the next try', () =>
  withKeepers(async ({ source, destination, openPageServer, wish }) => {
    await openPageServer()
    await connected(destination)
    await source.keepers.abort(source.folder)
    await eventually('it is gone', async () => (await destination.processes()).length === 0, 5000, 20)
    assert.equal((await destination.keepers.state(destination.folder))?.phase, 'aborted')
    const { port } = await destination.keepers.startDestination(wish)
    assert.ok(port > 0)
  }))

test('wishes that come at once start one keeper, and an end in their middle leaves none', () =>
  withKeepers(async ({ destination, wish }) => {
    const other = { ...wish, peerNode: 'node-7' }
    const ports = await Promise.all([other, other, other].map((each) => destination.keepers.startDestination(each)))
    assert.equal(new Set(ports.map(({ port }) => port)).size, 1)
    assert.equal((await keepersIn(destination.folder)).length, 1)
    const begun = destination.keepers.startDestination(wish)
    await destination.keepers.end(destination.folder)
    await begun
    assert.deepEqual(await keepersIn(destination.folder), [])
  }))

for (const state of ['prepared', 'waiting'] as const) {
  test(`a keeper that is ${state} only leaves with its folder`, async () => {
    const { folder, keepers } = await makeEnd('source')
    await keepers.prepare(folder)
    if (state === 'waiting') await keepers.startSource({ folder, address: '127.0.0.1', peerNode: 'node-2' })
    await eventually('it lives', async () => (await keepersIn(folder)).length === 1)
    // A program that is still being loaded has not opened it.
    await delay(QUIET_MS)
    await rm(folder, { recursive: true })
    await eventually('it has left', async () => (await keepersIn(folder)).length === 0, 5000, 50)
  })
}

for (const dies of [false, true]) {
  test(`a prepared keeper ${dies ? 'that has died is started anew' : 'takes its configuration when it is wanted'}`, async () => {
    const { folder, keepers, processes, killKeeper } = await makeEnd('source')
    try {
      await keepers.prepare(folder)
      await keepers.prepare(folder)
      const prepared = await eventually('it has begun', async () => {
        const pids = await processes()
        return pids.length > 1 && pids
      })
      if (dies) await killKeeper()
      const { port } = await keepers.startSource({ folder, address: '127.0.0.1', peerNode: 'node-2' })
      assert.ok(port > 0)
      const pids = await processes()
      assert.deepEqual(
        prepared.map((pid) => pids.includes(pid)),
        prepared.map(() => !dies),
      )
    } finally {
      await keepers.end(folder)
      await rm(folder, { recursive: true })
    }
  })
}
