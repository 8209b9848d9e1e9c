/** Amounts for people, in kubectl's manner. Pure. */

/** @returns an age such as `45s`, `3m12s`, `12m`, `5h`, `3d`: kubectl's HumanDuration */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ]
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's')
  if (hours < 3) return `${minutes}m`
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  if (days < 8) return pair(days, 'd', hours % 24, 'h')
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`
}

const pair = (big: number, bigUnit: string, small: number, smallUnit: string) =>
  small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** @returns for instance `0 B`, `1.5 KiB`, `412 MiB`, `1.0 GiB` */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(BINARY.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${BINARY[power]}`
}

/** @returns for instance `133 MiB/s`; undefined when nothing can be said yet */
export function formatRate(bytes: number, ms: number): string | undefined {
  return bytes > 0 && ms > 0 ? `${formatBytes((bytes * 1000) / ms)}/s` : undefined
}
