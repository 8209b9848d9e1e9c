/** A stream of bytes that survives the cut of its connection: numbered, kept until acknowledged, taken exactly once. Pure. */
import { FrameError } from './frame.ts'

/** What this side has to say. */
export class Outgoing {
  readonly #chunks: Buffer[] = []
  #acknowledged = 0
  #end = 0

  /** @returns the offset of the chunk's first byte */
  push(chunk: Buffer): number {
    const offset = this.#end
    this.#chunks.push(chunk)
    this.#end += chunk.length
    return offset
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
    let first = this.#chunks[0]
    while (first && this.#acknowledged + first.length <= delivered) {
      this.#chunks.shift()
      this.#acknowledged += first.length
      first = this.#chunks[0]
    }
    // In the middle of a chunk: the rest is kept as it is.
    if (first && delivered > this.#acknowledged) {
      this.#chunks[0] = first.subarray(delivered - this.#acknowledged)
      this.#acknowledged = delivered
    }
  }

  /**
   * What the twin has not received, to be said on a new connection.
   *
   * @throws FrameError when it asks for what is kept no more, or was never said
   */
  *from(received: number): Generator<{ offset: number; chunk: Buffer }> {
    this.#check(received)
    if (received < this.#acknowledged) throw new FrameError(`byte ${received} is asked for again after its receipt`)
    let offset = this.#acknowledged
    for (const chunk of [...this.#chunks]) {
      const known = Math.max(0, received - offset)
      if (known < chunk.length) yield { offset: offset + known, chunk: chunk.subarray(known) }
      offset += chunk.length
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
