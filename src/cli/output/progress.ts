/** The frames of the progress display. Pure: a frame is a function of what was seen and of the clock. */
import type { Migration } from '../../api/migration.ts'
import { formatDuration } from '../../api/timestamps.ts'
import { type StepView, stepsOf } from './steps.ts'
import { formatBytes, formatRate } from './units.ts'

/** What was seen so far. Times are of this machine: the cluster's clocks may differ from ours. */
export interface Progress {
  migration: Migration
  /** The step at work, and when we first saw it so; milliseconds. */
  running: { title: string; sinceMs: number } | undefined
}

/** @returns the progress after one more look at the Migration */
export function observe(before: Progress | undefined, migration: Migration, nowMs: number): Progress {
  const title = stepsOf(migration).find((step) => step.state === 'running')?.title
  if (title === undefined) return { migration, running: undefined }
  const sinceMs = before?.running?.title === title ? before.running.sinceMs : nowMs
  return { migration, running: { title, sinceMs } }
}

/** One line of a frame; `state` chooses sign and colour. */
export interface FrameLine {
  state: StepView['state']
  title: string
  time: string
  detail: string
}

/** @returns a line for each step; steps left out by a rollback are left out */
export function frame({ migration, running }: Progress, nowMs: number): FrameLine[] {
  return stepsOf(migration)
    .filter((step) => step.state !== 'skipped')
    .map((step) => {
      const elapsedMs = step.state === 'running' && running ? nowMs - running.sinceMs : step.tookMs
      return {
        state: step.state,
        title: step.title,
        time: elapsedMs === undefined ? '' : formatDuration(elapsedMs),
        detail: detailOf(step, migration, elapsedMs),
      }
    })
}

function detailOf(step: StepView, migration: Migration, elapsedMs: number | undefined): string {
  if (step.type === 'Delivered' && step.state !== 'failed' && migration.status?.mode === 'Live')
    return pagesOf(migration, step)
  if (step.type === 'Delivered' && step.state !== 'failed') return transferOf(migration, step, elapsedMs ?? 0)
  if (step.type === 'Accepted' && step.state === 'done') return routeOf(migration)
  if (step.state === 'running') return step.message ?? ''
  return step.state === 'failed' ? (step.message ?? '') : ''
}

function routeOf({ status }: Migration): string {
  const route = `${status?.source?.node} to ${status?.destination?.node ?? 'a node of the scheduler'}`
  return status?.mode === undefined ? route : `${route}, mode ${status.mode}`
}

/** Of every architecture that the lab has; a kernel with larger pages makes the figure too small, never the transfer. */
const PAGE_BYTES = 4096

function pagesOf({ status }: Migration, step: StepView): string {
  const pending = status?.transfer?.pagesPending
  return step.state !== 'running' || pending === undefined ? '' : `${formatBytes(pending * PAGE_BYTES)} to come`
}

function transferOf({ status }: Migration, step: StepView, elapsedMs: number): string {
  const total = (status?.containers ?? []).reduce((sum, { archiveBytes = 0 }) => sum + archiveBytes, 0)
  const sent = step.state === 'done' ? total : (status?.transfer?.sentBytes ?? 0)
  if (step.state === 'waiting' || total === 0) return ''
  const rate = formatRate(sent, elapsedMs)
  // The agent tells how far it is every few seconds only.
  const amount =
    sent === 0 || step.state === 'done' ? formatBytes(total) : `${formatBytes(sent)} of ${formatBytes(total)}`
  return rate === undefined ? amount : `${amount}, ${rate}`
}
