import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOWS } from './blows.ts'
import { type BlowName, canHit, expectedEnds, faultOfEnd, type JournalStep } from './expectations.ts'
import { STEPS, type Step } from './steps.ts'

const before = (end: string) => ({ end, isCommitted: false })
const after = (end: string) => ({ end, isCommitted: true })

type Judged = [blow: BlowName, steps: Step[], ending: { end: string; isCommitted: boolean }, journal?: JournalStep]

const ALLOWED: Record<string, Judged> = {
  'a killed controller delays only': ['controller killed', ['copying'], after('moved')],
  'a dump that was begun is undone': ['source agent killed', ['copying'], before('AgentRestarted'), 'dumping'],
  'a fenced one goes on': ['source agent killed', ['copying'], after('moved'), 'fenced'],
  'lost pages are told of after the commit': ['criu killed at the source', ['paging'], after('PagesLost')],
  'the commit may win over a killed dump': ['criu killed at the source', ['staging'], after('PagesLost')],
  'a person decides': ['destination stopped for good', ['restoring'], after('RecoveredByPerson')],
  'a blow between two steps may end as at either': ['wrapper killed', ['opening', 'copying'], after('moved')],
}

const FORBIDDEN: Record<string, [...Judged]> = {
  'a killed controller is no reason to give up': ['controller killed', ['copying'], before('DumpLost')],
  'a killed dump cannot have moved': ['criu killed at the source', ['staging'], after('moved')],
  'nor can the API server be a reason': ['API server silent for 20 s', ['staging'], before('TimedOut')],
  'a dump that was begun cannot have moved': ['source agent killed', ['copying'], after('moved'), 'dumping'],
  'a fenced one is not given up': ['source agent killed', ['copying'], before('AgentRestarted'), 'fenced'],
  'nor what was not begun': ['source agent killed', ['copying'], before('AgentRestarted'), 'none'],
  'a reason of before the commit after it': ['criu killed at the source', ['staging'], after('DumpLost')],
  'a reason of after the commit before it': ['criu killed at the source', ['staging'], before('PagesLost')],
  'no reason at all': ['criu killed at the source', ['copying'], before('undefined')],
  'what was not hit allows nothing': ['wrapper killed', [], after('moved')],
}

for (const [sentence, judged] of Object.entries(ALLOWED)) {
  test(`allowed: ${sentence}`, () => assert.equal(faultOfEnd(...judged), undefined))
}

for (const [sentence, judged] of Object.entries(FORBIDDEN)) {
  test(`a violation: ${sentence}`, () => assert.notEqual(faultOfEnd(...judged), undefined))
}

test('every blow has a row, and every row can fail: no end is allowed everywhere', () => {
  for (const { name } of BLOWS) {
    const steps = STEPS.filter((step) => canHit(name, step))
    assert.ok(steps.length > 0, name)
    for (const step of steps) {
      const ends = expectedEnds(name, [step])
      assert.ok(ends.length > 0 && ends.length <= 6, `${name} while ${step}`)
      assert.notEqual(faultOfEnd(name, [step], before('moved by chance')), undefined)
    }
  }
})
