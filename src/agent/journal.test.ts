import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { z } from 'zod'
import { openJournal } from './journal.ts'

const schema = z.object({ uid: z.string(), step: z.int(), padding: z.string() })
const log = pino({ level: 'silent' })
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podferry-journal-'))
})
afterEach(() => rm(folder, { recursive: true }))

const open = () => openJournal({ folder, schema, log })

test('entries come back after a restart, root-only, until they are removed', async () => {
  const inner = join(folder, 'journal')
  const journal = await openJournal({ folder: inner, schema, log })
  await journal.write({ uid: 'a', step: 1, padding: '' })
  await journal.write({ uid: 'a', step: 2, padding: '' })
  assert.equal((await stat(inner)).mode & 0o777, 0o700)
  assert.equal((await stat(join(inner, 'a.json'))).mode & 0o777, 0o600)
  const again = await openJournal({ folder: inner, schema, log })
  assert.equal(again.read('a')?.step, 2)
  await again.remove('a')
  assert.deepEqual([again.read('a'), again.list(), await readdir(inner)], [undefined, [], []])
})

test('what cannot be read is set aside and told, again at each start, and never lost', async () => {
  await writeFile(join(folder, 'torn.json'), '{"uid":"torn","st')
  await writeFile(join(folder, 'alien.json'), '{"uid":"alien"}')
  await writeFile(join(folder, 'liar.json'), JSON.stringify({ uid: 'other', step: 1, padding: '' }))
  const journal = await open()
  assert.deepEqual(journal.list(), [])
  assert.equal(journal.setAside.length, 3)
  const again = await open()
  assert.deepEqual([...again.setAside].sort(), [...journal.setAside].sort())
  const torn = again.setAside.find((path) => path.includes('torn'))
  assert.equal(await readFile(torn ?? '', 'utf8'), '{"uid":"torn","st')
})

test('a UID that would leave the folder is refused', async () => {
  const journal = await open()
  await assert.rejects(journal.write({ uid: '../../etc/x', step: 1, padding: '' }), /no UID/)
})

test('a write that fails leaves the entry before it, in memory and on disk', async () => {
  const journal = await open()
  await journal.write({ uid: 'a', step: 1, padding: '' })
  await rm(join(folder, 'a.json'))
  await mkdir(join(folder, 'a.json'))
  await assert.rejects(journal.write({ uid: 'a', step: 2, padding: '' }))
  assert.equal(journal.read('a')?.step, 1)
  assert.deepEqual(await readdir(folder), ['a.json'], 'no draft is left')
})

test('kill -9 at any moment leaves the last durable entry or the one under way, whole', async () => {
  const program = `
    const { openJournal } = await import(${JSON.stringify(new URL('./journal.ts', import.meta.url).href)})
    const { z } = await import('zod')
    const schema = z.object({ uid: z.string(), step: z.int(), padding: z.string() })
    const journal = await openJournal({ folder: process.argv[1], schema, log: console })
    for (let step = (journal.read('a')?.step ?? 0) + 1; ; step++) {
      await journal.write({ uid: 'a', step, padding: 'x'.repeat(step % 100_000) })
      process.stdout.write(step + '\\n')
    }`
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let told = ''
    child.stdout.on('data', (chunk) => {
      told += chunk
    })
    while (told === '') await delay(5)
    await delay(Math.random() * 40)
    const closed = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await closed
    const acknowledged = Number(told.trimEnd().split('\n').at(-1))
    const journal = await open()
    const step = journal.read('a')?.step ?? 0
    assert.ok(step === acknowledged || step === acknowledged + 1, `acknowledged ${acknowledged}, found ${step}`)
    assert.deepEqual(journal.setAside, [])
    assert.deepEqual(await readdir(folder), ['a.json'], 'drafts are swept')
  }
})
