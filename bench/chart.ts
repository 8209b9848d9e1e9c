/** A bar chart as SVG: one bar a row, logarithmic, as the values lie far apart. Pure. */

export interface Bar {
  label: string
  /** Milliseconds. */
  ms: number
}

const WIDTH = 720
const LEFT = 230
const ROW = 28
const DECADE_MIN_MS = 100

const escapeText = (text: string) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c] ?? c)

export function barChart(title: string, bars: readonly Bar[]): string {
  const top = Math.ceil(Math.log10(Math.max(...bars.map(({ ms }) => ms), 10 * DECADE_MIN_MS)))
  const bottom = Math.log10(DECADE_MIN_MS)
  const x = (ms: number) =>
    LEFT + ((Math.log10(Math.max(ms, DECADE_MIN_MS)) - bottom) / (top - bottom)) * (WIDTH - LEFT - 80)
  const height = 60 + bars.length * ROW
  const grid = Array.from({ length: top - bottom + 1 }, (_, decade) => 10 ** (bottom + decade))
  const lines = grid.map(
    (ms) =>
      `<line x1="${x(ms)}" y1="36" x2="${x(ms)}" y2="${height - 16}" stroke="#ddd"/><text x="${x(ms)}" y="${height - 2}" text-anchor="middle" fill="#666">${ms / 1000} s</text>`,
  )
  const rows = bars.map(({ label, ms }, index) => {
    const y = 40 + index * ROW
    return `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${escapeText(label)}</text><rect x="${LEFT}" y="${y}" width="${(x(ms) - LEFT).toFixed(1)}" height="20" fill="#2b6cb0"/><text x="${(x(ms) + 6).toFixed(1)}" y="${y + 15}">${(ms / 1000).toFixed(2)} s</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="13"><title>${escapeText(title)}</title><rect width="100%" height="100%" fill="#fff"/><text x="12" y="22" font-size="15" font-weight="bold">${escapeText(title)}</text>${[...lines, ...rows].join('')}</svg>\n`
}
