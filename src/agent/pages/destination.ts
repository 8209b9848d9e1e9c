/** The keeper beside the restored process: holds the connection of `criu lazy-pages`, and tells the twin when all has arrived. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { backoffMs } from '../../kube/backoff.ts'
import { serverNameOf } from '../peer/names.ts'
import { nodeOfPeer } from '../peer/peer-node.ts'
import type { DestinationConfig } from './config.ts'
import type { ControlRequest } from './control.ts'
import { createDescriptors } from './descriptors.ts'
import { holdFaults } from './hold-faults.ts'
import { type Holder, startHolder } from './holder.ts'
import { createRecord, type KeeperRecord } from './keeper-record.ts'
import type { KeeperState } from './keeper-state.ts'
import type { TwinSocket } from './link.ts'
import { isOwnUser } from './local-peer.ts'
import type { KeeperLog } from './log.ts'
import { Tunnel } from './tunnel.ts'
import { uncork } from './uncork.ts'

const BACKOFF = { baseMs: 50, maxMs: 2_000 }
const CONNECT_MS = 5_000
const POLL_MS = 100
/** The program stands still until its first pages are there, and to make a process takes longer than a page. */
const HOLDER_MS = 200
/** TLS gives no more at once. */
const READ_BYTES = 16 << 10

/**
 * @param onOver nothing is left to do
 * @returns what answers the agent
 */
export async function startDestination(
  config: DestinationConfig,
  log: KeeperLog,
  onOver: () => void,
): Promise<(request: ControlRequest) => Promise<KeeperState>> {
  const { folder, pidFile, exitFile, deliveredFile, bytesPerSecond } = config
  let daemon: Socket | undefined
  let holder: Holder | undefined
  let daemonEnded = false
  let failures = 0
  // Now, as the program will stand still when the daemon comes.
  const descriptors = createDescriptors()
  descriptors.catch(() => {})

  const tunnel = new Tunnel({
    log,
    bytesPerSecond,
    onSpoken: () => void (daemon && uncork(daemon, pidFile, descriptors, log)),
    onConnected() {
      failures = 0
      tellFinished()
    },
    onFinished: () => log('only a destination says that it has finished'),
    onOver(ending) {
      // The daemon's connection stays in any case: without its daemon the program would find zeros in place of its memory. The
      // agent ends the program first.
      record.enter(ending)
      // One to which no daemon has come holds nothing, and stands in the way of the next try's.
      if (record.phase !== 'finished' && daemon) return
      holder?.end()
      onOver()
    },
    onDelivered: () => {},
  })

  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const record: KeeperRecord = createRecord({ folder, log, tunnel, port: (server.address() as AddressInfo).port })
  server.on('connection', (socket: Socket) => void onConnection(socket))
  void keepConnected()
  void watchDaemon()
  return async (request) => {
    if (request.do !== 'state') throw new Error('only the keeper of the source opens and aborts')
    return record.state()
  }

  async function onConnection(socket: Socket): Promise<void> {
    socket.on('error', (error) => log("the daemon's connection is broken", { reason: error.message }))
    if (!(await isOwnUser(socket)) || record.phase !== 'waiting') {
      log('a local connection was refused', { port: socket.remotePort })
      return void socket.destroy()
    }
    // One daemon, once.
    server.close()
    record.enter('open')
    socket.once('end', () => {
      daemonEnded = true
    })
    socket.once('close', () => {
      daemonEnded = true
      tunnel.discard()
    })
    daemon = socket
    tunnel.attachLocal(socket)
    void holdProgram()
    setTimeout(() => {
      if (socket.destroyed || record.phase !== 'open') return
      holder = startHolder(folder, socket)
      tunnel.readOn()
    }, HOLDER_MS)
  }

  async function holdProgram(): Promise<void> {
    try {
      await holdFaults(config, (await descriptors).take, log)
    } catch (error) {
      log('the daemon alone holds the faults', { reason: error instanceof Error ? error.message : String(error) })
    }
  }

  /**
   * The end of the daemon's connection says nothing, and its exit code only when it is bad: it ends with 0 also when its processes
   * die with pages missing, while the source is about to run on. What counts is the agent's word.
   */
  async function watchDaemon(): Promise<void> {
    while (record.phase === 'waiting' || record.phase === 'open') {
      await delay(POLL_MS)
      // Before it has connected, the files are an earlier daemon's.
      if (record.phase !== 'open') continue
      const [exitCode, delivered] = await Promise.all([wordIn(exitFile), wordIn(deliveredFile)])
      if (exitCode !== '' && exitCode !== '0') record.enter('failed')
      // What it has said last is still being read.
      else if (delivered === '0' && daemonEnded) record.enter('finished')
    }
    tellFinished()
  }

  function tellFinished(): void {
    if (record.phase === 'finished') tunnel.tell({ kind: 'finished', total: tunnel.sentBytes })
  }

  async function keepConnected(): Promise<void> {
    for (;;) {
      try {
        const link = tunnel.attachLink(await reachTwin(config))
        await link.closed
      } catch (error) {
        log('the twin cannot be reached', { reason: error instanceof Error ? error.message : String(error) })
      }
      failures++
      await delay(backoffMs(BACKOFF, failures, Math.random()))
    }
  }
}

const wordIn = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim()

async function reachTwin({ identity, peerNode, peerAddress, peerPort }: DestinationConfig): Promise<TwinSocket> {
  const { key, cert, ca } = identity
  const early: Buffer[] = []
  let take = (bytes: Buffer): void => void early.push(Buffer.from(bytes))
  // All pages come this way: one buffer, again and again.
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (length: number, buffer: Uint8Array) => {
      take(Buffer.from(buffer.buffer, buffer.byteOffset, length))
      return true
    },
  }
  const socket = connect({
    host: peerAddress,
    port: peerPort,
    // Plain TLS verification against this name pins the node.
    servername: serverNameOf(peerNode),
    ...{ key, cert, ca, onread },
    minVersion: 'TLSv1.3',
    // A quarter faster than the default with 256 bits, and one of the three that every TLS 1.3 knows.
    ciphers: 'TLS_AES_128_GCM_SHA256',
  })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(CONNECT_MS) })
    const node = nodeOfPeer(socket)
    if (node !== peerNode) throw new Error(`${peerAddress}:${peerPort} is ${node ?? 'no agent'}, not ${peerNode}`)
  } catch (error) {
    socket.on('error', () => {})
    socket.destroy()
    throw error
  }
  return {
    socket,
    onBytes(taker) {
      take = taker
      for (const bytes of early.splice(0)) taker(bytes)
    },
  }
}
