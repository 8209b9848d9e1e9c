import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { stripModule } from './strip-types.ts'

const CHECKOUT = resolve(import.meta.dirname, '../..')

test('imports lead to the new names, texts that only look like them stay', () => {
  const source = [
    "import { a } from './a.ts'",
    "import type { B } from '../b.ts'",
    "export const load = () => import('./c.ts')",
    "export const name: string = 'from ./d.ts'",
    "import 'pkg/e.ts'",
  ].join('\n')
  const stripped = stripModule(source)
  assert.match(stripped, /from '\.\/a\.js'/)
  assert.match(stripped, /import\('\.\/c\.js'\)/)
  assert.match(stripped, /'from \.\/d\.ts'/)
  assert.match(stripped, /'pkg\/e\.ts'/)
  assert.doesNotMatch(stripped, /string|import type/)
  assert.equal(stripped.split('\n').length, 5)
})

test('the stripped program runs every role as the source does', async () => {
  const out = await mkdtemp(join(tmpdir(), 'podferry-strip-'))
  try {
    execFileSync(process.execPath, ['--no-warnings', join(import.meta.dirname, 'strip-types.ts'), out])
    for (const name of ['node_modules', 'package.json', 'runtime']) await symlink(join(CHECKOUT, name), join(out, name))
    for (const role of ['agent', 'controller', 'event-handler', 'uninstall-node', 'registry-config', 'migrate']) {
      const help = execFileSync(process.execPath, [join(out, 'src/main.js'), role, '--help'], { encoding: 'utf8' })
      assert.match(help, new RegExp(`usage|Usage: podferry ${role}`, 'i'))
    }
  } finally {
    await rm(out, { recursive: true })
  }
})
