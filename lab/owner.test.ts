import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusal } from './owner.ts'

test('a lab of nobody or of this checkout may be used', () => {
  assert.equal(refusal(undefined, '/a'), undefined)
  assert.equal(refusal('/a', '/a'), undefined)
})

test("another checkout's lab is refused, with its name and how to stop it", () => {
  assert.match(refusal('/b', '/a') ?? '', /belongs to the checkout \/b: stop it with \/b\/bin\/lab down/)
})
