/**
 * What two page keepers say to each other. Pure: bytes in, frames out.
 *
 * A frame is a head of 16 bytes (kind, detail, 0, 0, length of the payload as u32, a number as u64; big-endian) and its payload.
 */

/** How a keeper's work can end. */
type Ending = 'finished' | 'aborted' | 'failed'

export type ControlFrame =
  /** First on every connection. `session` names the keeper's process, `received` how much of the other's stream it has. */
  | { kind: 'hello'; session: string; received: number }
  /** So many bytes were handed on; they need not be kept. */
  | { kind: 'ack'; delivered: number }
  | { kind: 'ping' }
  /** Destination to source: the daemon has ended well, its stream ends at `total`. */
  | { kind: 'finished'; total: number }
  /** Source to destination: CRIU's connection is over. */
  | { kind: 'over'; ending: Ending }

/** `bytes` may be a part of what was sent as one frame; `offset` is that of its first byte. */
export type Frame = ControlFrame | { kind: 'data'; offset: number; bytes: Buffer }

export class FrameError extends Error {}

const KINDS = ['hello', 'ack', 'ping', 'finished', 'over', 'data'] as const
const ENDINGS = ['finished', 'aborted', 'failed'] as const
const VERSION = 1
const HEAD = 16
const SESSION_BYTES = 8
/** Far more than a socket gives at once; a bound for what a peer can make us believe. */
const MAX_PAYLOAD = 1 << 24

function head(kind: Frame['kind'], detail: number, length: number, number: number): Buffer {
  const bytes = Buffer.alloc(HEAD)
  bytes[0] = KINDS.indexOf(kind)
  bytes[1] = detail
  bytes.writeUInt32BE(length, 4)
  bytes.writeUInt32BE(Math.floor(number / 2 ** 32), 8)
  bytes.writeUInt32BE(number % 2 ** 32, 12)
  return bytes
}

/** @returns what comes before `length` bytes of the stream that begin at `offset` */
export const encodeDataHead = (offset: number, length: number): Buffer => head('data', 0, length, offset)

export function encodeFrame(frame: ControlFrame): Buffer {
  switch (frame.kind) {
    case 'hello':
      return Buffer.concat([head('hello', VERSION, SESSION_BYTES, frame.received), Buffer.from(frame.session, 'hex')])
    case 'ack':
      return head('ack', 0, 0, frame.delivered)
    case 'ping':
      return head('ping', 0, 0, 0)
    case 'finished':
      return head('finished', 0, 0, frame.total)
    case 'over':
      return head('over', ENDINGS.indexOf(frame.ending), 0, 0)
  }
}

interface Head {
  kind: Frame['kind']
  detail: number
  number: number
}

/**
 * Takes the bytes of one connection in pieces of any size and hands out frames; data at once, without waiting for the rest of it.
 *
 * `push` throws FrameError when the peer speaks something else; the connection is of no use then.
 */
export class FrameDecoder {
  readonly #onFrame: (frame: Frame) => void
  #gathered = Buffer.alloc(0)
  /** Bytes to gather for the next head or payload. */
  #wanted = HEAD
  #head: Head | undefined
  /** Left of the data frame that is coming in. */
  #dataLeft = 0
  #dataOffset = 0

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#dataLeft > 0) {
        const isWhole = at === 0 && chunk.length <= this.#dataLeft
        const bytes = isWhole ? chunk : chunk.subarray(at, at + this.#dataLeft)
        const offset = this.#dataOffset
        at += bytes.length
        this.#dataLeft -= bytes.length
        this.#dataOffset += bytes.length
        this.#onFrame({ kind: 'data', offset, bytes })
        continue
      }
      const missing = this.#wanted - this.#gathered.length
      const piece = chunk.subarray(at, at + missing)
      at += piece.length
      const all = this.#gathered.length === 0 ? piece : Buffer.concat([this.#gathered, piece])
      if (all.length < this.#wanted) {
        this.#gathered = Buffer.from(all)
        return
      }
      this.#gathered = Buffer.alloc(0)
      this.#take(all)
    }
  }

  #take(bytes: Buffer): void {
    if (this.#head) {
      const { number } = this.#head
      this.#head = undefined
      this.#wanted = HEAD
      this.#onFrame({ kind: 'hello', session: bytes.toString('hex'), received: number })
      return
    }
    const kind = KINDS[bytes[0] ?? KINDS.length]
    const detail = bytes[1] ?? 0
    const length = bytes.readUInt32BE(4)
    const number = bytes.readUInt32BE(8) * 2 ** 32 + bytes.readUInt32BE(12)
    if (kind === undefined || !Number.isSafeInteger(number)) throw new FrameError('not a frame')
    if (length !== lengthOf(kind, length)) throw new FrameError(`a frame ${kind} of ${length} bytes`)
    if (kind === 'data') {
      this.#dataLeft = length
      this.#dataOffset = number
    } else if (kind === 'hello') {
      if (detail !== VERSION) throw new FrameError(`the twin speaks version ${detail}, this keeper ${VERSION}`)
      this.#head = { kind, detail, number }
      this.#wanted = length
    } else this.#onFrame(plainFrame({ kind, detail, number }))
  }
}

/** @returns how long a payload must be; for data whatever was said, up to the maximum */
function lengthOf(kind: Frame['kind'], said: number): number {
  if (kind === 'data') return Math.min(said, MAX_PAYLOAD)
  return kind === 'hello' ? SESSION_BYTES : 0
}

function plainFrame({ kind, detail, number }: Head): Frame {
  if (kind === 'ack') return { kind, delivered: number }
  if (kind === 'finished') return { kind, total: number }
  if (kind === 'ping') return { kind }
  const ending = ENDINGS[detail]
  if (ending === undefined) throw new FrameError(`an unknown ending ${detail}`)
  return { kind: 'over', ending }
}
