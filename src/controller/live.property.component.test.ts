/** The whole search through histories of mode Live: too long for the unit tests, which make a part of it and find the planted bugs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { search } from './testing/live/histories.ts'

const HISTORIES = 100_000

test(`none of ${HISTORIES} histories of the protocol breaks an invariant`, () => {
  const failure = search(HISTORIES)
  assert.equal(failure && `${failure.error.message}\n${failure.moves.join(' ')}`, undefined)
})
