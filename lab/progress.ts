/** What a long run shows: one line a step, with the time gone, the time left and the steps to go. */
import type { Writable } from 'node:stream'

export interface Step {
  name: string
  /** Seconds it takes on two cores; only for the display. */
  estimate: number
  /** True when its result is already there. */
  done: () => Promise<boolean>
  run: () => Promise<void>
}

/** @returns `45s`, `2m10s` or `1h05m`. */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`
}

/** Round figures: an estimate must not look like a measurement. */
export function formatEstimate(seconds: number): string {
  if (seconds < 60) return `${Math.max(5, Math.ceil(seconds / 5) * 5)}s`
  return `${Math.ceil(seconds / 60)}m`
}

export interface Position {
  /** From 1. */
  index: number
  total: number
  name: string
  elapsed: number
  /** Estimates in seconds: of this step and of all later ones that are not done. */
  estimate: number
  later: number
  /** Later steps that are not done. */
  toGo: number
}

export function formatRunning(at: Position): string {
  const left = Math.max(at.estimate - at.elapsed, 0) + at.later
  const steps = at.toGo === 0 ? 'last step' : at.toGo === 1 ? '1 step to go' : `${at.toGo} steps to go`
  return `[${at.index}/${at.total}] ${at.name} … ${formatDuration(at.elapsed)}, about ${formatEstimate(left)} left, ${steps}`
}

/**
 * Runs the steps in order, skipping what is done.
 * On a terminal the running step's line is renewed each second; elsewhere each step gets one plain line at its start and end.
 */
export async function runSteps(steps: readonly Step[], out: Writable & { isTTY?: boolean }): Promise<void> {
  const done = await Promise.all(steps.map((step) => step.done()))
  for (const [place, step] of steps.entries()) {
    const prefix = `[${place + 1}/${steps.length}] ${step.name}`
    if (done[place]) {
      out.write(`${prefix}: cached\n`)
      continue
    }
    const later = steps.filter((_, other) => other > place && !done[other])
    const started = Date.now()
    const seconds = () => (Date.now() - started) / 1000
    const line = () =>
      formatRunning({
        index: place + 1,
        total: steps.length,
        name: step.name,
        elapsed: seconds(),
        estimate: step.estimate,
        later: later.reduce((sum, other) => sum + other.estimate, 0),
        toGo: later.length,
      })
    const renew = () => out.write(`\r\x1b[K${line()}`)
    if (out.isTTY) renew()
    else out.write(`${line()}\n`)
    const timer = out.isTTY ? setInterval(renew, 1000) : undefined
    try {
      await step.run()
      out.write(`${out.isTTY ? '\r\x1b[K' : ''}${prefix}: done in ${formatDuration(seconds())}\n`)
    } catch (error) {
      out.write(`${out.isTTY ? '\r\x1b[K' : ''}${prefix}: failed after ${formatDuration(seconds())}\n`)
      throw error
    } finally {
      clearInterval(timer)
    }
  }
}
