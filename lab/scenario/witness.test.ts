import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readLedger, violations, violationsOfReturn, violationsWithPowerCut } from './witness.ts'

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

test('a program that finds spoilt what it has told before is believed, and told of once', () => {
  const broken = { ...report(2), broken: 'memory' }
  const found = violations([report(1), broken, { ...broken, number: 3 }])
  assert.deepEqual(found, ['number 2 from a: the program finds its memory spoilt'])
})

test("a report says what its sender says, at the sender's time", () => {
  assert.deepEqual(readLedger('00ff 12 1 1500250 ok\n', '10.0.0.1', 1600), {
    nonce: '00ff',
    number: 12,
    from: '10.0.0.1',
    at: 1500.25,
  })
  assert.equal(readLedger('00ff 12 1 1500250 deed\n', '10.0.0.1', 1501).broken, 'deed')
  assert.equal(readLedger('00ff 12 1\n', '10.0.0.1', 1501).broken, 'nothing')
  // Its pod stood still after it had looked at the clock.
  assert.equal(readLedger('00ff 12 1 1500250 ok\n', '10.0.0.1', 2500).at, 2500)
})

const AT_B = { at: 2, offAt: 2, isThere: (address: string) => address.startsWith('b') }

test('what was on a node that was switched off may begin afresh there', () => {
  const reports = [report(1), report(2, 'b'), { ...report(1, 'b2', 'm'), at: 9 }, { ...report(2, 'b2', 'm'), at: 10 }]
  assert.deepEqual(violationsWithPowerCut(reports, AT_B, violations), [])
})

const CRIMES_WITH_POWER_CUT: Record<string, [ReturnType<typeof report>[], RegExp]> = {
  'a fresh start on the other node': [[report(1), report(2, 'b'), { ...report(1, 'a', 'm'), at: 9 }], /no power cut/],
  'a fresh start before the power was cut': [[report(1, 'b'), { ...report(1, 'b', 'm'), at: 2 }], /no power cut/],
  'a program that goes on where it was switched off': [
    [report(1, 'b'), { ...report(1, 'b', 'm'), at: 9 }, { ...report(2, 'b'), at: 10 }],
    /switched off before/,
  ],
  'a lost number': [[report(1), report(3, 'b'), { ...report(1, 'b2', 'm'), at: 9 }], /number 3 .* follows number 1/],
  'a second fresh start': [
    [report(1, 'b'), { ...report(1, 'b2', 'm'), at: 9 }, { ...report(1, 'b2', 'o'), at: 10 }],
    /another nonce/,
  ],
  'two copies of the old program': [[report(1, 'b'), report(2), report(3, 'b')], /had been left/],
}

for (const [crime, [reports, sentence]] of Object.entries(CRIMES_WITH_POWER_CUT)) {
  test(`with the power cut the witness tells ${crime}`, () =>
    assert.match(violationsWithPowerCut(reports, AT_B, violations).join('\n'), sentence))
}
