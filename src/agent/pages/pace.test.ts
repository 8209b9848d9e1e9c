import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPace } from './pace.ts'

test('without a rate nobody waits', () => assert.equal(createPace(undefined).spend(1e12, 0), 0))

test('who waits as told keeps the rate, whatever the sizes', () => {
  const pace = createPace(1000)
  let now = 0
  let bytes = 0
  for (const size of [50, 400, 1, 1000, 77, 250, 222]) {
    now += pace.spend(size, now)
    bytes += size
  }
  // The first tenth of a second's worth is free.
  assert.equal(Math.round(now), bytes - 100)
})

test('a quiet time does not save up more than a tenth of a second', () => {
  const pace = createPace(1000)
  pace.spend(1, 0)
  assert.equal(pace.spend(200, 3_600_000), 100)
})
