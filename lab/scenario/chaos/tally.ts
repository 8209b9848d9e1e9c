/** What came of all runs: a line of counts, and a table of blow and step. Pure. */

import type { Aim } from './plan.ts'
import { nameOf } from './plan.ts'
import type { Outcome } from './run.ts'
import { STEPS, type Step } from './steps.ts'

interface Told {
  aim: Aim
  outcome: Pick<Outcome, 'steps' | 'end' | 'violations'>
}

/** @returns such as `200 runs, 0 violations: 120 moved, 80 rolled back; 13 blows did not hit and do not count` */
export function countsOf(all: readonly Told[]): string {
  const hit = all.filter(({ outcome }) => outcome.steps.length > 0)
  const violated = all.filter(({ outcome }) => outcome.violations.length > 0).length
  const moved = hit.filter(({ outcome }) => outcome.end === 'moved').length
  const missed = all.length - hit.length
  return `${hit.length} runs, ${violated} violations: ${moved} moved, ${hit.length - moved} did not; ${missed} blows did not hit and do not count`
}

/** @returns a Markdown table: blow × step → how often each end came; a run between two steps stands at the one it was aimed at, else the first */
export function tableOf(all: readonly Told[]): string[] {
  const hits = all.flatMap(({ aim, outcome: { steps, end, violations } }) => {
    const step = steps.includes(aim.step) ? aim.step : steps[0]
    return step === undefined ? [] : [{ blow: aim.blow.name, step, end: violations.length > 0 ? `**${end}**` : end }]
  })
  const blows = [...new Set(hits.map(({ blow }) => blow))].sort()
  const cell = (blow: string, step: Step): string => {
    const ends = hits.filter((hit) => hit.blow === blow && hit.step === step).map(({ end }) => end)
    return [...new Set(ends)].map((end) => timesOf(end, ends.filter((other) => other === end).length)).join(', ')
  }
  return [
    `| blow | ${STEPS.join(' | ')} |`,
    `|---|${STEPS.map(() => '---|').join('')}`,
    ...blows.map((blow) => `| ${blow} | ${STEPS.map((step) => cell(blow, step)).join(' | ')} |`),
  ]
}

const timesOf = (end: string, count: number): string => (count === 1 ? end : `${end} ×${count}`)

/** One line of a run, for people and for `make chaos` to repeat. */
export function lineOf(aim: Aim, { steps, end, downtime }: Outcome, seconds: number): string {
  const where = steps.length === 0 ? 'nothing to hit' : steps.join('/')
  return `${nameOf(aim)} + ${aim.delayMs} ms (${where}): ${end}, downtime ${downtime}, ${seconds.toFixed(1)} s`
}
