/** The keeper beside the frozen process: holds the connection to CRIU's page server, whose end would end the process. */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { createServer, type TLSSocket } from 'node:tls'
import { nodeOfPeer } from '../peer/peer-node.ts'
import type { SourceConfig } from './config.ts'
import type { ControlRequest } from './control.ts'
import { createDescriptors } from './descriptors.ts'
import { type Holder, startHolder } from './holder.ts'
import { createRecord, type KeeperRecord } from './keeper-record.ts'
import { hasEnded, type KeeperState } from './keeper-state.ts'
import type { KeeperLog } from './log.ts'
import { Tunnel } from './tunnel.ts'
import { uncork } from './uncork.ts'

/** No command of CRIU's page server begins so: the dump fails, and CRIU resumes the tasks. A command has 24 or 32 bytes. */
const ABORT = Buffer.alloc(64, 0xff)
const HANDSHAKE_MS = 5_000
/** How long a twin that is cut off may still come and hear how it ended. */
const LINGER_MS = 30_000

/**
 * @param onOver nothing is left to do
 * @returns what answers the agent
 */
export async function startSource(
  config: SourceConfig,
  log: KeeperLog,
  onOver: () => void,
): Promise<(request: ControlRequest) => Promise<KeeperState>> {
  const { folder, identity, peerNode, address, bytesPerSecond } = config
  const { key, cert, ca } = identity
  let criu: Socket | undefined
  let holder: Holder | undefined
  /** Length of what the daemon has said in all, once it has ended well. */
  let total: number | undefined

  const tunnel = new Tunnel({
    log,
    bytesPerSecond,
    onSpoken: () => void (criu && uncork(criu, join(folder, 'dump.pid'), descriptors, log)),
    onConnected: tellEnding,
    onFinished(length) {
      total = length
      finishWhenAllIsThere()
    },
    onOver: () => log('only a source says that it is over'),
    onDelivered: finishWhenAllIsThere,
  })
  const server = createServer({
    ...{ key, cert, ca },
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS,
  })
  server.on('tlsClientError', (error) => log('a connection was refused', { reason: error.message }))
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => {})
    const node = nodeOfPeer(socket)
    if (node === peerNode) return tunnel.attachLink({ socket, onBytes: (take) => socket.on('data', take) })
    log('a connection was refused', { reason: `it comes from ${node ?? 'no agent'}, not from ${peerNode}` })
    socket.destroy()
  })
  server.listen(0, address)
  await once(server, 'listening')
  const record: KeeperRecord = createRecord({ folder, log, tunnel, port: (server.address() as AddressInfo).port })
  // Not before the agent has the port, and not while the pod stands still.
  const descriptors = createDescriptors()
  descriptors.catch(() => {})

  function tellEnding(): void {
    const { phase } = record
    if (phase !== 'waiting' && phase !== 'open') tunnel.tell({ kind: 'over', ending: phase })
  }

  function finishWhenAllIsThere(): void {
    if (record.phase !== 'open' || total === undefined || tunnel.deliveredBytes < total) return
    record.enter('finished')
    criu?.end()
    tellEnding()
  }

  function onCriuClosed(): void {
    // Nobody has told it to: its dump has died.
    record.enter('failed')
    criu?.destroy()
    holder?.end()
    leave()
  }

  function leave(): void {
    tellEnding()
    setTimeout(onOver, LINGER_MS)
  }

  async function open(port: number): Promise<void> {
    if (record.phase !== 'waiting' || criu)
      throw new Error(`the keeper is ${record.phase}; it opens one connection once`)
    const socket = tunnel.makeLocal()
    criu = socket
    // Bound, so there is a descriptor, but not connected: the holder has it before CRIU knows of it. Killed at any moment, this
    // process does not end a connection that CRIU has accepted.
    socket.once('connectionAttempt', () => {
      try {
        holder = startHolder(folder, socket)
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
    socket.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.1' })
    try {
      await once(socket, 'connect')
    } catch (error) {
      holder?.end()
      criu = undefined
      throw error
    }
    record.enter('open')
    socket.on('error', (error) => log("CRIU's connection is broken", { reason: error.message }))
    socket.once('end', onCriuClosed)
    socket.once('close', onCriuClosed)
    tunnel.attachLocal(socket)
    finishWhenAllIsThere()
  }

  function abort(): void {
    if (record.phase === 'finished') throw new Error('the pages have all arrived; the dump cannot be aborted any more')
    if (hasEnded(record.phase)) return
    record.enter('aborted')
    // Read on: CRIU hears it only when it has got rid of what it is sending.
    tunnel.discard()
    if (criu) criu.write(ABORT)
    else leave()
    tellEnding()
  }

  return async (request) => {
    if (request.do === 'open') await open(request.port)
    if (request.do === 'abort') abort()
    return record.state()
  }
}
