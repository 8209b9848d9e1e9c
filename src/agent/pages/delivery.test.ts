import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { Delivery } from './delivery.ts'

const sizes = fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 20 })

test('what is pushed is written once and in order, and counted when it was taken', () =>
  fc.assert(
    fc.asyncProperty(sizes, sizes, async (before, after) => {
      const written: Buffer[] = []
      const waiting: (() => void)[] = []
      let taken = 0
      const delivery = new Delivery(() => taken++)
      const said: Buffer[] = []
      const push = (size: number) => {
        const bytes = Buffer.alloc(size, said.length)
        said.push(bytes)
        delivery.push(bytes)
      }
      before.forEach(push)
      await turn()
      const all = () => said.reduce((sum, { length }) => sum + length, 0)
      assert.equal(delivery.pending, all())
      delivery.begin((bytes, done) => {
        // The bytes may change as soon as done was called.
        written.push(bytes)
        waiting.push(() => {
          written[written.indexOf(bytes)] = Buffer.from(bytes)
          done()
        })
      })
      after.forEach(push)
      for (;;) {
        await turn()
        assert.ok(waiting.length <= 1, 'one write at a time')
        const next = waiting.shift()
        if (next === undefined) break
        next()
      }
      assert.equal(delivery.pending, 0)
      assert.ok(Buffer.concat(written).equals(Buffer.concat(said)))
      assert.equal(taken, written.length)
    }),
    { numRuns: 30 },
  ))
