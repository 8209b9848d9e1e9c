import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ControlFrame, encodeDataHead, encodeFrame, type Frame, FrameDecoder, FrameError } from './frame.ts'
import { Incoming, MAX_CHUNK, Outgoing } from './numbered-stream.ts'

/** Hands bytes over in pieces of the given sizes, again and again. */
function pushInPieces(decoder: FrameDecoder, bytes: Buffer, sizes: readonly number[]): void {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    decoder.push(bytes.subarray(at, at + size))
    at += size
  }
}

const numbers = fc.maxSafeNat()
const PLAIN = { noNullPrototype: true }
const control: fc.Arbitrary<ControlFrame> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('hello' as const),
      session: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex')),
      received: numbers,
    },
    PLAIN,
  ),
  fc.record({ kind: fc.constant('ack' as const), delivered: numbers }, PLAIN),
  fc.constant({ kind: 'ping' as const }),
  fc.record({ kind: fc.constant('finished' as const), total: numbers }, PLAIN),
  fc.record(
    {
      kind: fc.constant('over' as const),
      ending: fc.constantFrom('finished' as const, 'aborted' as const, 'failed' as const),
    },
    PLAIN,
  ),
)
const pieceSizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })

test('frames come out as they went in, however the bytes are cut', () =>
  fc.assert(
    fc.property(fc.array(fc.oneof(control, fc.uint8Array({ maxLength: 100 }))), pieceSizes, (said, sizes) => {
      const heard: Frame[] = []
      const stream = said.flatMap((item) =>
        item instanceof Uint8Array ? [encodeDataHead(5, item.length), Buffer.from(item)] : [encodeFrame(item)],
      )
      pushInPieces(new FrameDecoder((frame) => heard.push(frame)), Buffer.concat(stream), sizes)
      assert.deepEqual(
        heard.filter(({ kind }) => kind !== 'data'),
        said.filter((item) => !(item instanceof Uint8Array)),
      )
      assert.deepEqual(
        Buffer.concat(heard.flatMap((frame) => (frame.kind === 'data' ? [frame.bytes] : []))),
        Buffer.concat(said.flatMap((item) => (item instanceof Uint8Array ? [item] : []))),
      )
    }),
  ))

test('what is no frame is refused, and so is too much', () => {
  const decoder = () => new FrameDecoder(() => {})
  assert.throws(() => decoder().push(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n')), FrameError)
  assert.throws(() => decoder().push(encodeDataHead(0, 2 ** 31)), FrameError)
  const hello = encodeFrame({ kind: 'hello', session: '0011223344556677', received: 0 })
  hello[1] = 2
  assert.throws(() => decoder().push(hello), /version 2/)
})

interface Connection {
  /** Sizes of what is said on it. */
  chunks: number[]
  /** How many bytes of all that come through before the cut. */
  through: number
  sizes: number[]
  /** Of what was received: the share that is acknowledged, in hundredths. */
  acknowledged: number
}

const connections: fc.Arbitrary<Connection[]> = fc.array(
  fc.record({
    chunks: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 12 }),
    through: fc.integer({ min: 0, max: 900 }),
    sizes: pieceSizes,
    acknowledged: fc.integer({ min: 0, max: 100 }),
  }),
  { minLength: 1, maxLength: 12 },
)

test('over any number of cut connections every byte arrives once and in order', () =>
  fc.assert(
    fc.property(connections, (turns) => {
      const out = new Outgoing()
      const incoming = new Incoming()
      const said: Buffer[] = []
      const heard: Buffer[] = []
      let counter = 0
      const connect = (chunks: number[], through: number, sizes: number[], acknowledged: number) => {
        const wire = [...out.from(incoming.received)]
        for (const size of chunks) {
          const chunk = Buffer.from(Array.from({ length: size }, () => counter++ % 251))
          said.push(chunk)
          wire.push(out.push(chunk))
        }
        const decoder = new FrameDecoder((got) => {
          if (got.kind !== 'data') return
          const fresh = incoming.take(got.offset, got.bytes)
          if (fresh) heard.push(Buffer.from(fresh))
        })
        pushInPieces(decoder, Buffer.concat(wire).subarray(0, through), sizes)
        out.acknowledge(Math.floor((incoming.received * acknowledged) / 100))
      }
      for (const turn of turns) connect(turn.chunks, turn.through, turn.sizes, turn.acknowledged)
      connect([], Number.POSITIVE_INFINITY, [7], 100)
      assert.deepEqual(Buffer.concat(heard), Buffer.concat(said))
      assert.equal(out.kept, 0)
    }),
  ))

test('a byte is taken once, a gap is refused, and nobody has what was never said', () => {
  const incoming = new Incoming()
  assert.deepEqual(incoming.take(0, Buffer.from('abc')), Buffer.from('abc'))
  assert.equal(incoming.take(1, Buffer.from('bc')), undefined)
  assert.deepEqual(incoming.take(1, Buffer.from('bcde')), Buffer.from('de'))
  assert.throws(() => incoming.take(6, Buffer.from('x')), FrameError)
  const out = new Outgoing()
  out.push(Buffer.from('abc'))
  out.push(Buffer.from('defg'))
  out.acknowledge(3)
  assert.deepEqual([...out.from(5)], [Buffer.concat([encodeDataHead(5, 2), Buffer.from('fg')])])
  assert.throws(() => [...out.from(2)], FrameError)
  assert.throws(() => out.acknowledge(8), FrameError)
})

test('memory that is used again never holds what is still to be said', () => {
  const out = new Outgoing()
  const incoming = new Incoming()
  const chunk = (turn: number) => Buffer.alloc(1 + ((turn * 7919) % MAX_CHUNK), turn % 251)
  let said = 0
  let heard = 0
  let turn = 0
  const decoder = () =>
    new FrameDecoder((frame) => {
      if (frame.kind !== 'data') return
      for (const byte of [frame.bytes[0], frame.bytes.at(-1)]) assert.equal(byte, heard % 251)
      incoming.take(frame.offset, frame.bytes)
      heard++
    })
  // Eight MiB are under way at any time, over far more than all slabs hold.
  for (; said < 64 << 20; turn++) {
    const bytes = chunk(turn)
    out.push(bytes)
    said += bytes.length
    if (out.kept < 8 << 20) continue
    const some = [...out.from(incoming.received)].slice(0, 20)
    const fresh = decoder()
    for (const frame of some) fresh.push(frame)
    out.acknowledge(incoming.received)
  }
  const last = decoder()
  for (const frame of out.from(incoming.received)) last.push(frame)
  assert.deepEqual([heard, incoming.received], [turn, said])
})
