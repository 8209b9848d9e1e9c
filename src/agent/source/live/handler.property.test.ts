/** The real handler of mode Live through random histories; and the same histories must notice when an effect errs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Order, Report } from './testing/history-worker.ts'
import { type SabotageName, sabotages } from './testing/sabotage.ts'

const HISTORIES = Number(process.env.PODFERRY_HISTORIES ?? 10_000)
/** Seeds are free, but told: a failure names the one that shows it again. */
const seed = Number(process.env.PODFERRY_SEED ?? Math.floor(Math.random() * 2 ** 31))

async function run(order: Order): Promise<Report> {
  const worker = new Worker(new URL('./testing/history-worker.ts', import.meta.url), { workerData: order })
  const [report] = (await once(worker, 'message')) as [Report]
  return report
}

test(`the fence ends only in the situations that allow it, only what is fenced and staged is committed, nothing is left (seed ${seed})`, {
  timeout: 120_000,
}, async () => {
  const halves = [seed, seed + 1].map((own) => run({ numRuns: HISTORIES / 2, seed: own }))
  const reports = await Promise.all(halves)
  assert.deepEqual(
    reports
      .map(({ failure }) => failure)
      .filter(Boolean)
      .join('\n'),
    '',
  )
  // A walk that never reaches a situation proves nothing about it.
  const reached = new Set(reports.flatMap(({ ends }) => [...ends.keys()]))
  assert.deepEqual([...reached].sort(), ['aborted', 'killed', 'pages lost', 'restore failed', 'unwound'])
})

for (const sabotage of Object.keys(sabotages) as SabotageName[]) {
  test(`noticed: ${sabotage}`, { timeout: 60_000 }, async () => {
    const { failure } = await run({ numRuns: 5_000, seed, sabotage })
    assert.ok(failure, 'no history fails')
  })
}
