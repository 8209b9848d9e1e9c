/** A stream of bytes that survives the cut of its connection: numbered, kept until acknowledged, taken exactly once. Pure. */
import { encodeDataHead, FrameError } from './frame.ts'
import { createSlabs } from './slabs.ts'

interface Said {
  /** Head and bytes, as they go over the wire. */
  frame: Buffer
  bytes: Buffer
  slab: Buffer
}

/** The most that is said at once, in bytes. */
export const MAX_CHUNK = 128 << 10
const HEAD = encodeDataHead(0, 0).length
const SLAB = 1 << 20
/** A full window of 8 MiB, and a little. */
const SPARE = 10

/** What this side has to say. */
export class Outgoing {
  readonly #slabs = createSlabs(SLAB, SPARE)
  readonly #said: Said[] = []
  #slab = this.#slabs.take()
  #used = 0
  #acknowledged = 0
  #end = 0

  /**
   * Copies the bytes, MAX_CHUNK at most.
   *
   * @returns the frame to send; it stays as it is until it is acknowledged
   */
  push(chunk: Buffer): Buffer {
    if (this.#used + HEAD + chunk.length > SLAB) {
      // Otherwise it is given back with the last of what it holds.
      if (this.#said.at(-1)?.slab !== this.#slab) this.#slabs.give(this.#slab)
      this.#slab = this.#slabs.take()
      this.#used = 0
    }
    const frame = this.#slab.subarray(this.#used, this.#used + HEAD + chunk.length)
    const bytes = frame.subarray(HEAD)
    encodeDataHead(this.#end, chunk.length).copy(frame)
    chunk.copy(bytes)
    this.#said.push({ frame, bytes, slab: this.#slab })
    this.#used += frame.length
    this.#end += chunk.length
    return frame
  }

  /** Bytes said so far. */
  get end(): number {
    return this.#end
  }

  /** Bytes kept because they may have to be said again. */
  get kept(): number {
    return this.#end - this.#acknowledged
  }

  /** @throws FrameError when the twin claims to have what was never said */
  acknowledge(delivered: number): void {
    this.#check(delivered)
    let first = this.#said[0]
    // A frame of which a part is missing is kept whole.
    while (first && this.#acknowledged + first.bytes.length <= delivered) {
      this.#said.shift()
      this.#acknowledged += first.bytes.length
      const next = this.#said[0]
      if (first.slab !== this.#slab && next?.slab !== first.slab) this.#slabs.give(first.slab)
      first = next
    }
  }

  /**
   * What the twin has not received, as frames for a new connection.
   *
   * @throws FrameError when it asks for what is kept no more, or was never said
   */
  *from(received: number): Generator<Buffer> {
    this.#check(received)
    if (received < this.#acknowledged) throw new FrameError(`byte ${received} is asked for again after its receipt`)
    let offset = this.#acknowledged
    for (const { frame, bytes } of [...this.#said]) {
      const rest = bytes.subarray(Math.max(0, received - offset))
      if (rest.length === bytes.length) yield frame
      else if (rest.length > 0) yield Buffer.concat([encodeDataHead(received, rest.length), rest])
      offset += bytes.length
    }
  }

  #check(offset: number): void {
    if (offset > this.#end) throw new FrameError(`the twin has ${offset} bytes of ${this.#end} that were said`)
  }
}

/** What the other side says. */
export class Incoming {
  #received = 0

  get received(): number {
    return this.#received
  }

  /**
   * @returns what of it is new, undefined when nothing is
   * @throws FrameError when bytes before it are missing
   */
  take(offset: number, bytes: Buffer): Buffer | undefined {
    if (offset > this.#received) throw new FrameError(`byte ${offset} came where ${this.#received} was due`)
    const known = this.#received - offset
    if (known >= bytes.length) return undefined
    this.#received = offset + bytes.length
    return known === 0 ? bytes : bytes.subarray(known)
  }
}
