/** Durations as kubectl takes them: `90s`, `5m`, `1h30m`, `500ms`; a bare number is seconds. */
import { UsageError } from './exit-codes.ts'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/**
 * @param option the option's name, for the message
 * @returns milliseconds
 * @throws UsageError
 */
export function parseDuration(text: string, option: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 1000
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) {
    throw new UsageError(`${option} ${JSON.stringify(text)} is no duration; give one such as 90s, 5m or 1h30m`)
  }
  return Math.round(parts.reduce((sum, [, value, unit]) => sum + Number(value) * (UNITS[unit ?? ''] ?? 0), 0))
}
