/**
 * One end of the tunnel: a local connection (CRIU's page server, or the lazy-pages daemon), and a link to the twin that may be
 * cut and made anew at any time. It never ends the local connection.
 */
import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { Delivery } from './delivery.ts'
import { type ControlFrame, type Frame, FrameError } from './frame.ts'
import { type Link, openLink, type TwinSocket } from './link.ts'
import type { KeeperLog } from './log.ts'
import { Incoming, MAX_CHUNK, Outgoing } from './numbered-stream.ts'
import { createPace } from './pace.ts'

interface TunnelOptions {
  log: KeeperLog
  /** Of what goes to the twin; undefined: no limit. */
  bytesPerSecond?: number | undefined
  /** The local connection has said its first bytes. */
  onSpoken(): void
  /** The twin has said hello: what must be known to it is said again. */
  onConnected(): void
  onFinished(total: number): void
  onOver(ending: Extract<ControlFrame, { kind: 'over' }>['ending']): void
  /** All that has come so far was handed to the local connection. */
  onDelivered(): void
}

/** So much is kept for the case of a cut, each way; who has more to say waits. */
const WINDOW = 8 << 20
/** Acknowledging each piece would cost more than the piece. */
const ACK_STEP = 256 << 10

export class Tunnel {
  readonly #options: TunnelOptions
  readonly #session = randomBytes(8).toString('hex')
  readonly #out = new Outgoing()
  readonly #in = new Incoming()
  readonly #pace
  readonly #startedAt = performance.now()
  #twinSession: string | undefined
  #link: Link | undefined
  /** The twin of the present link has said hello. */
  #connected = false
  #local: Socket | undefined
  readonly #delivery = new Delivery(() => this.#acknowledge())
  #discarding = false
  #acknowledged = 0
  #heardAt: number | undefined
  #waiting = false
  #paused = false

  constructor(options: TunnelOptions) {
    this.#options = options
    this.#pace = createPace(options.bytesPerSecond)
  }

  get connected(): boolean {
    return this.#connected
  }
  /** Bytes of the local connection that were taken for the twin. */
  get sentBytes(): number {
    return this.#out.end
  }
  get receivedBytes(): number {
    return this.#in.received
  }
  get silentMs(): number {
    return Math.round(performance.now() - (this.#heardAt ?? this.#startedAt))
  }
  /** Bytes that the local connection has taken. */
  get deliveredBytes(): number {
    return this.#in.received - (this.#discarding ? 0 : this.#delivery.pending)
  }

  /**
   * Takes over a connection to the twin; an older one is ended.
   *
   * @returns the link, whose `closed` tells its end
   */
  attachLink(twin: TwinSocket): Link {
    this.#link?.close('a newer connection has come')
    const link: Link = openLink({
      ...twin,
      // Who has not said hello rightly is not the twin, and does not make the link a living one.
      onHeard: () => {
        if (link === this.#link && this.#connected) this.#heardAt = performance.now()
      },
      onFrame: (frame) => {
        if (link === this.#link) this.#onFrame(link, frame)
      },
    })
    this.#link = link
    this.#connected = false
    link.send({ kind: 'hello', session: this.#session, received: this.#in.received })
    void link.closed.then((reason) => {
      if (link !== this.#link) return
      this.#options.log('the link to the twin is cut', { reason })
      this.#link = undefined
      this.#connected = false
    })
    return link
  }

  /**
   * A socket, not connected yet, for the side from which the pages come. It reads into one buffer, again and again.
   * Half-open: the other side's end must not make Node end ours by itself.
   */
  makeLocal(): Socket {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(MAX_CHUNK),
      callback: (length: number, buffer: Uint8Array) => {
        this.#onLocalData(socket, Buffer.from(buffer.buffer, buffer.byteOffset, length))
        return true
      },
    }
    const socket = new Socket({ allowHalfOpen: true, onread })
    return socket
  }

  /**
   * From now on the stream flows between this connection and the twin's. Its end is the caller's business.
   *
   * @param socket connected; made by `makeLocal`, or one that has been accepted
   */
  attachLocal(socket: Socket): void {
    this.#local = socket
    socket.setNoDelay(true)
    // Never from one of `makeLocal`.
    socket.on('data', (chunk: Buffer) => this.#onLocalData(socket, chunk))
    this.#delivery.begin((bytes, done) => void socket.write(bytes, done))
    socket.resume()
  }

  /** Node stops reading from a socket that it gives to a child process. */
  readOn(): void {
    if (!this.#paused) this.#local?.resume()
  }

  /** What is still to come for the local connection is thrown away, what it says too. */
  discard(): void {
    this.#discarding = true
    this.#local?.resume()
    this.#acknowledge()
  }

  /** Says something to the twin if it is there; who says it must say it again `onConnected`. */
  tell(frame: ControlFrame): void {
    if (this.#connected) this.#link?.send(frame)
  }

  #onLocalData(socket: Socket, chunk: Buffer): void {
    if (this.#discarding) return
    if (this.#out.end === 0) this.#options.onSpoken()
    for (let at = 0; at < chunk.length; at += MAX_CHUNK) {
      const frame = this.#out.push(chunk.subarray(at, at + MAX_CHUNK))
      if (this.#connected) this.#link?.sendFrame(frame)
    }
    const waitMs = this.#pace.spend(chunk.length, performance.now())
    if (waitMs > 0) {
      this.#waiting = true
      setTimeout(() => {
        this.#waiting = false
        this.#resume()
      }, waitMs)
    }
    if (this.#waiting || this.#out.kept >= WINDOW) {
      this.#paused = true
      socket.pause()
    }
  }

  #resume(): void {
    if (!this.#paused || this.#waiting || this.#out.kept >= WINDOW) return
    this.#paused = false
    this.#local?.resume()
  }

  #onFrame(link: Link, frame: Frame): void {
    if (frame.kind !== 'hello' && !this.#connected) throw new FrameError(`${frame.kind} came before hello`)
    if (frame.kind === 'hello') this.#onHello(link, frame)
    if (frame.kind === 'data') this.#onData(frame)
    if (frame.kind === 'ack') this.#onAck(frame)
    if (frame.kind === 'finished') this.#options.onFinished(frame.total)
    if (frame.kind === 'over') this.#options.onOver(frame.ending)
  }

  #onData({ offset, bytes }: Extract<Frame, { kind: 'data' }>): void {
    const fresh = this.#in.take(offset, bytes)
    if (fresh) this.#deliver(fresh)
  }

  #onAck({ delivered }: Extract<Frame, { kind: 'ack' }>): void {
    this.#out.acknowledge(delivered)
    this.#resume()
  }

  #onHello(link: Link, { session, received }: Extract<Frame, { kind: 'hello' }>): void {
    // A twin that was started anew has lost what it held: to go on with it would leave a hole in the program's memory.
    this.#twinSession ??= session
    if (session !== this.#twinSession) throw new FrameError('the twin was replaced in the middle of the stream')
    this.#connected = true
    this.#heardAt = performance.now()
    for (const frame of this.#out.from(received)) link.sendFrame(frame)
    link.send({ kind: 'ack', delivered: this.#acknowledged })
    this.#options.log('connected to the twin', { resentBytes: this.#out.end - received })
    this.#options.onConnected()
  }

  #deliver(bytes: Buffer): void {
    if (this.#discarding) this.#acknowledge()
    else this.#delivery.push(bytes)
  }

  #acknowledge(): void {
    const delivered = this.deliveredBytes
    if (delivered - this.#acknowledged >= ACK_STEP) {
      this.#acknowledged = delivered
      this.tell({ kind: 'ack', delivered })
    }
    if (delivered === this.#in.received) this.#options.onDelivered()
  }
}
