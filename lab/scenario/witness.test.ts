import assert from 'node:assert/strict'
import { test } from 'node:test'
import { violations, violationsOfReturn } from './witness.ts'

const report = (number: number, from = 'a', nonce = 'n') => ({ nonce, number, from, at: number })

test('one program that moves once is beyond reproach', () => {
  assert.deepEqual(violations([report(1), report(2), report(3, 'b'), report(4, 'b')]), [])
})

const CRIMES: Record<string, [ReturnType<typeof report>[], RegExp]> = {
  'a lost number': [[report(1), report(3)], /number 3 .* follows number 1/],
  'a doubled number': [[report(1), report(1, 'b')], /number 1 .* follows number 1/],
  'a fresh start': [[report(1), report(2, 'a', 'm')], /fresh start/],
  'two copies at once': [[report(1), report(2, 'b'), report(3, 'a')], /had been left/],
}

for (const [crime, [reports, sentence]] of Object.entries(CRIMES)) {
  test(`the witness tells ${crime}`, () => assert.match(violations(reports).join('\n'), sentence))
}

test('a source that goes on from where it was frozen, after a destination that was ended, is beyond reproach', () => {
  assert.deepEqual(violationsOfReturn([report(1), report(2), report(3, 'b'), report(4, 'b'), report(3)]), [])
})

const CRIMES_OF_RETURN: Record<string, [ReturnType<typeof report>[], RegExp]> = {
  'two copies at once': [[report(1), report(2, 'b'), report(2), report(3, 'b'), report(3)], /had been left/],
  'a source that lost a number': [[report(1), report(2, 'b'), report(3)], /number 3 .* follows number 1/],
  'a destination that began elsewhere': [[report(1), report(3, 'b'), report(2)], /number 3 from b follows number 1/],
}

for (const [crime, [reports, sentence]] of Object.entries(CRIMES_OF_RETURN)) {
  test(`after a return the witness tells ${crime}`, () =>
    assert.match(violationsOfReturn(reports).join('\n'), sentence))
}
