/** One connection between twins: frames over TLS, and a heartbeat that tells a dead link from a quiet one. */
import type { TLSSocket } from 'node:tls'
import { type ControlFrame, encodeFrame, type Frame, FrameDecoder } from './frame.ts'

export interface Link {
  send(frame: ControlFrame): void
  /** Bytes of a frame; they must stay as they are until the twin has acknowledged them. */
  sendFrame(frame: Buffer): void
  /** Ends the connection at once; `onClose` follows. */
  close(reason: string): void
  /** Resolves when the connection has ended, with what ended it. */
  readonly closed: Promise<string>
}

/** A connection to a twin whose certificate was checked. */
export interface TwinSocket {
  socket: TLSSocket
  /** Calls back with all that comes; the bytes are valid during the call only. */
  onBytes(take: (bytes: Buffer) => void): void
}

interface LinkOptions extends TwinSocket {
  /** A throw ends the connection. */
  onFrame(frame: Frame): void
  /** Anything has come from the twin. */
  onHeard(): void
}

const BEAT_MS = 1_000
/** A link that has been silent for so long is dead: five heartbeats are missing. */
const DEAD_MS = 5_000
const WRITE_BYTES = 512 << 10

export function openLink({ socket, onBytes, onFrame, onHeard }: LinkOptions): Link {
  const { promise: closed, resolve } = Promise.withResolvers<string>()
  let heardAt = performance.now()
  let reason = 'the twin ended the connection'

  const close = (why: string) => {
    reason = why
    socket.destroy()
  }
  const queue: Buffer[] = []
  let writing = false
  // One write at a time: Node would copy all that waits into one block of megabytes, which no cache of a processor holds. Not one
  // frame at a time: each write has a price.
  const writeNext = (): void => {
    const bytes = socket.destroyed ? undefined : takeNeighbours(queue)
    writing = bytes !== undefined
    if (bytes) socket.write(bytes, writeNext)
  }
  const decoder = new FrameDecoder(onFrame)
  // A page fault waits for each of these.
  socket.setNoDelay(true)
  onBytes((chunk) => {
    heardAt = performance.now()
    onHeard()
    try {
      decoder.push(chunk)
    } catch (error) {
      close(String(error))
    }
  })
  socket.on('error', (error) => {
    reason = error.message
  })
  socket.once('end', () => socket.destroy())
  const beat = setInterval(() => {
    if (performance.now() - heardAt > DEAD_MS) return close(`nothing came for ${DEAD_MS / 1000} s`)
    socket.write(encodeFrame({ kind: 'ping' }))
  }, BEAT_MS)
  socket.once('close', () => {
    clearInterval(beat)
    resolve(reason)
  })

  return {
    closed,
    close,
    send: (frame) => void socket.write(encodeFrame(frame)),
    sendFrame(frame) {
      queue.push(frame)
      if (!writing) writeNext()
    },
  }
}

/** @returns the first frame together with those that follow it in memory, too */
function takeNeighbours(queue: Buffer[]): Buffer | undefined {
  const first = queue.shift()
  if (first === undefined) return undefined
  let length = first.length
  for (;;) {
    const next = queue[0]
    const adjoins = next?.buffer === first.buffer && next.byteOffset === first.byteOffset + length
    if (!next || !adjoins || length + next.length > WRITE_BYTES) break
    length += next.length
    queue.shift()
  }
  return Buffer.from(first.buffer, first.byteOffset, length)
}
