/**
 * `node test/run.ts unit|component|e2e|all`: runs the tests of a level and counts them.
 * Component and end-to-end tests run in the lab's network; the lab is started for them, and stopped again when it was not up before.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { styleText } from 'node:util'
import { CACHE } from '../lab/places.ts'
import { fetchKafka } from '../lab/setup/kafka-jars.ts'
import { fetchPostgres } from '../lab/setup/postgres.ts'
import { labsFor, type TestLab } from './labs.ts'
import { filesOf, LEVELS, type Level, networkOf } from './levels.ts'
import { add, type Counts, NONE, runFiles } from './run-files.ts'

const ROOT = resolve(import.meta.dirname, '..')
// A file is a process: most would spend half of their time on reading sources that another has read before.
process.env.NODE_COMPILE_CACHE ??= join(CACHE, 'compile')
const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  console.error(`the tests need Node 24, not ${process.versions.node}: run them by make test or node_modules/.bin/node`)
  process.exit(1)
}

/** What component and end-to-end tests find: the lab up, its cache filled, podferry's types and rights known to it. */
async function prepareLab({ run }: TestLab): Promise<void> {
  run('up')
  // Within the lab's network there is no way to fetch anything.
  await fetchKafka()
  await fetchPostgres()
  for (const folder of ['crd', 'rbac']) {
    if (folder === 'rbac') run('kubectl', 'apply', '--server-side', '-f', join(ROOT, 'config/manager/namespace.yaml'))
    run(
      'kubectl',
      'apply',
      '--server-side',
      '--field-manager=podferry',
      '--force-conflicts',
      '-k',
      join(ROOT, 'config', folder),
    )
  }
}

/** A process can't enter another network by itself: a second one of this program runs the files and sends the counts. */
function runIn(netns: string, lab: TestLab, level: Level, files: readonly string[]): Promise<Counts> {
  const program = [process.execPath, import.meta.filename, '--here', level, ...files]
  const args = [`--net=${netns}`, '--', ...program]
  const env = { ...lab.environment, PODFERRY_TEST_KUBECONFIG: lab.kubeconfig }
  return new Promise((done, reject) => {
    const child = spawn('nsenter', args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env })
    let counts: Counts | undefined
    child.on('message', (message) => {
      counts = message as Counts
    })
    child.on('error', reject)
    child.on('close', (code) => (counts ? done(counts) : reject(new Error(`the tests ended with exit code ${code}`))))
  })
}

/** One file after another in each lab, whichever is free next. */
async function runInLabs(level: Level, files: readonly string[], labs: readonly TestLab[]): Promise<Counts> {
  const waiting = [...files]
  const lanes = labs.map(async (lab) => {
    let counts = NONE
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const machine = networkOf(file)
      if (machine) counts = add(counts, await runIn(lab.netnsOf(machine), lab, level, [file]))
    }
    return counts
  })
  return (await Promise.all(lanes)).reduce(add, NONE)
}

async function runLevel(level: Level, labs: readonly TestLab[]): Promise<Counts> {
  const started = Date.now()
  const files = await filesOf(level, ROOT)
  console.log(styleText('bold', `\n${level}: ${files.length} files`))
  // What boots a lab of its own waits most of the time, and shares nothing with the tests that run in this one.
  const [outside, inside] = [
    files.filter((file) => networkOf(file) === undefined),
    files.filter((file) => networkOf(file) !== undefined),
  ]
  const counts = add(...(await Promise.all([runFiles(level, outside), runInLabs(level, inside, labs)])))
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.log(`${level}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${seconds} s`)
  return counts
}

/** A log's last lines are what most people see: no failure may push another out of them. */
const MOST_LINES_AGAIN = 25
const shortened = (told: string): string => told.split('\n').slice(0, MOST_LINES_AGAIN).join('\n')

async function main(words: string[]): Promise<Counts> {
  const [word = 'all', ...rest] = words
  if (word === '--here') {
    const [level, ...files] = rest
    const counts = await runFiles(level as Level, files)
    process.send?.(counts)
    process.disconnect?.()
    return counts
  }
  const levels = LEVELS.filter((level) => word === 'all' || word === level)
  if (levels.length === 0) throw new Error(`${word} is no level: say ${LEVELS.join(', ')} or all`)
  const started = labsFor('e2e').filter(({ kubeconfig }) => !existsSync(kubeconfig))
  let total = NONE
  try {
    for (const level of levels) {
      const labs = labsFor(level)
      // Unit tests first: they tell within a minute.
      if (level !== 'unit') for (const lab of labs) await prepareLab(lab)
      total = add(total, await runLevel(level, labs))
    }
  } finally {
    for (const { kubeconfig, run } of started) if (existsSync(kubeconfig)) run('down')
  }
  if (total.failed > 0) console.log(`\nWhat failed, once more:\n${total.failures.map(shortened).join('\n')}`)
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  return total
}

try {
  const { passed, failed } = await main(process.argv.slice(2))
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
} catch (error) {
  // What the lab had to say stands above already.
  console.error(`the tests did not run to their end: ${(error as Error).message}`)
  process.exitCode = 1
}
