import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDuration } from '../duration-option.ts'
import { invocationName } from '../invocation.ts'
import { formatTable } from './table.ts'
import { formatAge, formatBytes, formatRate } from './units.ts'

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000]

for (const [ms, text] of [
  [-5, '0s'],
  [119 * second, '119s'],
  [2 * minute, '2m'],
  [3 * minute + 12 * second, '3m12s'],
  [12 * minute + 5 * second, '12m'],
  [3 * hour + 4 * minute, '3h4m'],
  [12 * hour, '12h'],
  [3 * day + 2 * hour, '3d2h'],
  [40 * day, '40d'],
  [800 * day, '2y'],
] as const) {
  test(`an age of ${ms} ms is ${text}`, () => assert.equal(formatAge(ms), text))
}

for (const [bytes, text] of [
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [412 << 20, '412 MiB'],
  [1 << 30, '1.0 GiB'],
] as const) {
  test(`${bytes} bytes are ${text}`, () => assert.equal(formatBytes(bytes), text))
}

test('a rate needs bytes and time', () => {
  assert.equal(formatRate(133 << 20, 1000), '133 MiB/s')
  assert.equal(formatRate(0, 1000), undefined)
  assert.equal(formatRate(10, 0), undefined)
})

for (const [text, ms] of [
  ['90', 90_000],
  ['90s', 90_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['500ms', 500],
  ['1.5s', 1500],
] as const) {
  test(`--timeout ${text} is ${ms} ms`, () => assert.equal(parseDuration(text, '--timeout'), ms))
}

for (const text of ['', 'soon', '5 m', '-5s', '5x', 's']) {
  test(`--timeout "${text}" is refused`, () =>
    assert.throws(() => parseDuration(text, '--timeout'), /--timeout .* is no duration/))
}

test('the name it was called by is the name it speaks of', () => {
  assert.equal(invocationName('/usr/local/bin/kubectl-podferry'), 'kubectl podferry')
  assert.equal(invocationName('/usr/local/bin/podferry'), 'podferry')
  assert.equal(invocationName('/app/src/main.js'), 'podferry')
  assert.equal(invocationName(undefined), 'podferry')
})

test('a table fills empty cells and leaves no trailing blanks', () => {
  assert.deepEqual(
    formatTable([
      ['A', 'LONG'],
      ['wide cell', ''],
      [undefined, 'x'],
    ]),
    ['A           LONG', 'wide cell   <none>', '<none>      x'],
  )
})
