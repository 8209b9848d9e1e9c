/** What runc itself said when it failed. */

const LIMIT = 500

/**
 * runc repeats the end of CRIU's log in warnings of its own, hundreds of lines about mappings; its word on the failure is an error. CRIU's
 * errors are read from CRIU's log.
 *
 * @param log what runc has written to its standard error, or the end of it
 * @returns its errors in one line; without any, its last line; empty when it said nothing
 */
export function runcErrors(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '')
  const errors = lines.flatMap((line) => {
    const [, quoted, plain] = /\blevel=(?:error|fatal) msg=(?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(line) ?? []
    return quoted === undefined ? (plain ?? []) : quoted.replace(/\\(.)/g, '$1')
  })
  const said = errors.length > 0 ? [...new Set(errors)].join('; ') : (lines.at(-1) ?? '')
  return said.trim().slice(0, LIMIT)
}
