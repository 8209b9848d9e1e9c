/** Times in status are RFC 3339 strings; runtimes give nanoseconds, JavaScript milliseconds. */

/** @returns milliseconds between two RFC 3339 times, never negative (two nodes' clocks may disagree by a little) */
export function elapsedMs(from: string, to: string): number {
  return Math.max(0, Math.round(Date.parse(to) - Date.parse(from)))
}

/** @returns a duration for people: `0.52s`, `12.3s`, `3m04s` */
export function formatDuration(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)}s`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
}
