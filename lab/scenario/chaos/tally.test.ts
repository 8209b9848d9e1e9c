import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOWS } from './blows.ts'
import type { BlowName } from './expectations.ts'
import type { Step } from './steps.ts'
import { countsOf, tableOf } from './tally.ts'

const told = (name: BlowName, step: Step, steps: Step[], end: string, violations: string[] = []) => {
  const blow = BLOWS.find((candidate) => candidate.name === name)
  assert.ok(blow)
  return { aim: { blow, step, delayMs: 0 }, outcome: { steps, end, violations } }
}

const ALL = [
  told('controller killed', 'copying', ['copying'], 'moved'),
  told('controller killed', 'copying', ['copying', 'staging'], 'moved'),
  told('controller killed', 'paging', ['removing'], 'moved', ['a number was lost']),
  told('wrapper killed', 'staging', ['staging'], 'ContainerReplaced'),
  told('wrapper killed', 'staging', [], 'moved'),
]

test('what did not hit does not count, what was violated does', () => {
  assert.equal(countsOf(ALL), '4 runs, 1 violations: 3 moved, 1 did not; 1 blows did not hit and do not count')
})

test('the table tells the ends where the blows have landed', () => {
  assert.deepEqual(tableOf(ALL).slice(2), [
    '| controller killed |  | moved ×2 |  |  |  | **moved** |',
    '| wrapper killed |  |  | ContainerReplaced |  |  |  |',
  ])
})
