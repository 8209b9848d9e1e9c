/** What the long-running roles share: logs, settings, the signal to end. */
import { Option } from 'commander'
import pino, { type Logger } from 'pino'
import { PodferryError } from '../../errors.ts'

/** One JSON line a step on standard output; what a role handles is bound as fields, never put into sentences. */
export const createLog = (role: string, fields: Record<string, string> = {}): Logger =>
  pino({
    base: { role, ...fields },
    level: process.env.PODFERRY_LOG_LEVEL ?? 'info',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  })

export const busOption = (): Option =>
  new Option('--bus <driver>', 'event bus').choices(['kubernetes', 'kafka']).default('kubernetes').env('PODFERRY_BUS')

/** @throws PodferryError `InvalidSetting` when the environment lacks a variable that the manifests set */
export function required(variable: string): string {
  const value = process.env[variable]
  if (value) return value
  const message = `${variable} is not set; podferry's manifests set it by the downward API`
  throw new PodferryError({ reason: 'InvalidSetting', message, retry: 'afterChange' })
}

/** Resolves on SIGTERM or SIGINT. */
export const terminated = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
