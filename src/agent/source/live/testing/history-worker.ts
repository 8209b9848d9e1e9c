/** Runs random histories outside of the test runner, whose hooks on promises would take most of the time. */
import { parentPort, workerData } from 'node:worker_threads'
import fc from 'fast-check'
import { history, live } from './history.ts'
import { type SabotageName, sabotages } from './sabotage.ts'

export interface Order {
  numRuns: number
  seed: number
  sabotage?: SabotageName
}

export interface Report {
  /** How often a fence ended by each situation. */
  ends: Map<string, number>
  /** What was wrong with the smallest history that fails. */
  failure: string | undefined
}

// A stack for each of a million errors that are part of a history would take half of the time.
Error.stackTraceLimit = 0
const { numRuns, seed, sabotage } = workerData as Order
const ends = new Map<string, number>()
const property = fc.asyncProperty(history, async (given) => {
  for (const end of (await live(given, sabotage && sabotages[sabotage])).ends) ends.set(end, (ends.get(end) ?? 0) + 1)
})
const details = await fc.check(property, { numRuns, seed, endOnFailure: sabotage !== undefined })
const failure = details.failed ? `${fc.defaultReportMessage(details)}\n${details.errorInstance}` : undefined
parentPort?.postMessage({ ends, failure } satisfies Report)
