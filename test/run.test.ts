/** The runner's counting, tried on small files: a wrong count would hide every other failure. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Counts } from './run-files.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podferry-run-files-'))
})
after(() => rm(folder, { recursive: true }))

async function counted(file: string): Promise<Counts> {
  // Node's runner does not run within a test of its own: this variable tells it that it does.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = fork(join(import.meta.dirname, 'run.ts'), ['--here', 'unit', file], { env, silent: true })
  const [counts] = await once(child, 'message')
  return counts as Counts
}

const IMPORT = "import { after, describe, test } from 'node:test';"
const CASES: [string, string, [passed: number, failed: number, skipped: number]][] = [
  ['passes and skips', "test('a', () => {}); test('b', { skip: 'why' }, () => {}); test.todo('c')", [1, 0, 2]],
  [
    'a failing test in a suite counts once',
    "describe('s', () => { test('a', () => { throw 1 }); test('b', () => {}) })",
    [1, 1, 0],
  ],
  ['a failing hook', "describe('s', () => { after(() => { throw 1 }); test('a', () => {}) })", [1, 1, 0]],
  ['a file that does not parse', 'test(', [0, 1, 0]],
  ['a file without tests', '', [0, 1, 0]],
  ['a process that ends badly', "test('a', () => {}); process.on('exit', () => { process.exitCode = 3 })", [1, 1, 0]],
]

for (const [sentence, code, [passed, failed, skipped]] of CASES) {
  test(sentence, async () => {
    const file = join(folder, 'sample.mjs')
    await writeFile(file, IMPORT + code)
    const { failures, ...counts } = await counted(file)
    assert.deepEqual(counts, { passed, failed, skipped })
    assert.equal(failures.length, failed, 'each failure is told again at the end')
    for (const told of failures) assert.match(told, /sample\.mjs/)
  })
}
