/** kubectl's tables: columns parted by spaces, nothing behind the last. Pure. */

/**
 * @param rows the first is the header; cells that are undefined or empty become `<none>`
 * @param gap between columns; kubectl's own are three spaces
 * @returns lines
 */
export function formatTable(rows: readonly (readonly (string | undefined)[])[], gap = '   '): string[] {
  const cells = rows.map((row) => row.map((cell) => cell || '<none>'))
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(gap)
      .trimEnd(),
  )
}
