/** From what tests have seen to the tables of docs/compatibility.md. Pure. */
import type { Seen } from '../../lab/scenario/compatibility.ts'

const BEGIN = '<!-- measured: made by make compatibility, do not edit -->'
const END = '<!-- /measured -->'

/**
 * @param page with the two marks
 * @returns the page with the tables of this run between them
 * @throws Error when a mark is missing, or nothing was seen: a page without its tables would look as if nothing moved
 */
export function withTables(page: string, seen: readonly Seen[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`docs/compatibility.md lacks its marks ${BEGIN} and ${END}`)
  if (seen.length === 0) throw new Error('no test has told what it has seen')
  const parts = [
    ...tableOf(
      'Programs',
      seen.filter(({ kind }) => kind === 'program'),
    ),
    ...tableOf(
      'Pods',
      seen.filter(({ kind }) => kind === 'feature'),
    ),
  ]
  return `${page.slice(0, begin)}${[BEGIN, '', ...parts].join('\n')}${page.slice(end)}`
}

/** What moves comes first; the rest stays in the order of the tests. */
function tableOf(title: string, seen: readonly Seen[]): string[] {
  if (seen.length === 0) return []
  const rows = [
    ...seen.filter(({ result }) => result === 'moves'),
    ...seen.filter(({ result }) => result === 'refused'),
  ]
  return [
    `### ${title}`,
    '',
    '| | result | what was checked, or the words of the refusal | downtime, ms |',
    '|---|---|---|---|',
    // What was tried in both modes is refused in the same words.
    ...new Set(
      rows.map(
        ({ what, result, checked, downtimesMs = [] }) =>
          `| ${cell(what)} | ${result} | ${cell(checked)} | ${downtimesMs.join(', ')} |`,
      ),
    ),
    '',
  ]
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
