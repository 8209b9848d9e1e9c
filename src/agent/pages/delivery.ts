/** Hands what has come from the twin to a local connection, in few big writes, and counts what the connection has taken. */
import { createSlabs } from './slabs.ts'

/** Takes bytes and calls back when it has no more use for them. */
type Write = (bytes: Buffer, done: () => void) => void

const SLAB = 256 << 10
const SPARE = 4

export class Delivery {
  readonly #onTaken: () => void
  readonly #slabs = createSlabs(SLAB, SPARE)
  /** Full ones, oldest first. */
  readonly #full: Buffer[] = []
  #slab = this.#slabs.take()
  #used = 0
  #pending = 0
  #write: Write | undefined
  #writing = false
  #scheduled = false

  /** @param onTaken after every write */
  constructor(onTaken: () => void) {
    this.#onTaken = onTaken
  }

  /** Bytes that the connection has not taken yet. */
  get pending(): number {
    return this.#pending
  }

  /** From now on there is a connection; what has come before goes first. */
  begin(write: Write): void {
    this.#write = write
    this.#flush()
  }

  /** Copies the bytes. */
  push(bytes: Buffer): void {
    this.#pending += bytes.length
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(this.#slab, this.#used, at)
      at += copied
      this.#used += copied
      if (this.#used < SLAB) continue
      this.#full.push(this.#slab)
      this.#slab = this.#slabs.take()
      this.#used = 0
    }
    if (this.#scheduled) return
    this.#scheduled = true
    // TLS gives 16 KiB at a time; all that has arrived by now goes in one write.
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#writing || this.#write === undefined) return
    let slab = this.#full.shift()
    let length = SLAB
    if (slab === undefined) {
      if (this.#used === 0) return
      slab = this.#slab
      length = this.#used
      this.#slab = this.#slabs.take()
      this.#used = 0
    }
    const written = slab
    this.#writing = true
    this.#write(written.subarray(0, length), () => {
      this.#writing = false
      this.#pending -= length
      this.#slabs.give(written)
      this.#onTaken()
      this.#flush()
    })
  }
}
