/** Node's test runner on some files: one line a test, failures with all they said, and counts. */
import { availableParallelism } from 'node:os'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { inspect, styleText } from 'node:util'
import type { Level } from './levels.ts'

export interface Counts {
  passed: number
  failed: number
  skipped: number
  /** What each failure said: told once more at the end, where a reader who sees only the last lines looks. */
  failures: readonly string[]
}

export const NONE: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] }

export const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
})

const ROOT = resolve(import.meta.dirname, '..')
const MINUTE = 60_000
/** How long one file may take, its open handles included, before it counts as hung. */
const TIMEOUT_MS: Record<Level, number> = { unit: MINUTE, component: 10 * MINUTE, e2e: 30 * MINUTE }

/** @param files by path from the repository's root */
export async function runFiles(level: Level, files: readonly string[]): Promise<Counts> {
  const waiting = [...files]
  // Component tests share the machine's ports and cgroups, end-to-end tests the cluster. Unit tests wait half of their time.
  const workers = Array.from({ length: level === 'unit' ? availableParallelism() * 2 : 1 }, async () => {
    let counts = NONE
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      counts = add(counts, await runFile(level, file))
    }
    return counts
  })
  return (await Promise.all(workers)).reduce(add, NONE)
}

/** The runner's own time limit ends a test, but not a process that stays: only its signal does. */
async function runFile(level: Level, file: string): Promise<Counts> {
  const counts = { ...NONE, failures: [] as string[] }
  const signal = AbortSignal.timeout(TIMEOUT_MS[level])
  const quiet = level === 'unit'
  for await (const { type, data } of run({ files: [resolve(ROOT, file)], signal })) {
    if (type === 'test:pass' || type === 'test:fail') {
      if (data.details.type === 'suite' && type === 'test:pass') continue
      const verdict = verdictOf(type, data)
      // A suite fails with its tests, which are counted; what fails by itself (a hook, a crashed file) counts.
      if (verdict === 'failed' && isSumOfOthers(data)) continue
      counts[verdict]++
      const told = tell(verdict, data)
      if (verdict === 'failed') counts.failures.push(told)
      if (verdict === 'failed' || !quiet) console.log(told)
    } else if ((type === 'test:stdout' || type === 'test:stderr') && !quiet) {
      process.stdout.write(data.message)
    }
  }
  if (signal.aborted) {
    const hung = `    ${file} did not end within ${TIMEOUT_MS[level] / 1000} s and was killed`
    counts.failures.push(hung)
    console.log(hung)
  }
  return counts
}

interface Result {
  name: string
  file?: string
  skip?: string | boolean
  todo?: string | boolean
  details: { duration_ms: number; type?: string; error?: Error }
}

type Verdict = 'passed' | 'failed' | 'skipped'

function verdictOf(type: 'test:pass' | 'test:fail', { skip, todo, name, file }: Result): Verdict {
  // `skip` is '' where no reason was given.
  if ((skip !== undefined && skip !== false) || (todo !== undefined && todo !== false)) return 'skipped'
  // The runner reports a file by itself only when it has no tests.
  if (type === 'test:pass' && file !== undefined && name === file) return 'failed'
  return type === 'test:pass' ? 'passed' : 'failed'
}

const isSumOfOthers = ({ details: { error } }: Result): boolean =>
  (error as { failureType?: string } | undefined)?.failureType === 'subtestsFailed'

const MARKS = { passed: styleText('green', '✔'), failed: styleText('red', '✖'), skipped: '﹣' }

function tell(verdict: Verdict, { name, file, skip, details }: Result): string {
  const where = file === undefined ? '' : `${relative(ROOT, file)}: `
  const why = typeof skip === 'string' && skip !== '' ? ` # ${skip}` : ''
  const line = `${MARKS[verdict]} ${where}${name} (${(details.duration_ms / 1000).toFixed(1)} s)${why}`
  if (verdict !== 'failed') return line
  const { error } = details
  const said = inspect(error?.cause ?? error ?? new Error('the file has no tests'), { depth: 6 })
  return `${line}\n${said.replace(/^/gm, '    ')}`
}
