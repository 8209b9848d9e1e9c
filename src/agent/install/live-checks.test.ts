import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPrograms } from './live-checks.ts'
import type { CommandResult, NodeCommands } from './node-commands.ts'

const ABLE = {
  'sh -c': '/usr/sbin/runc\n',
  '/usr/sbin/runc checkpoint': '--lazy-pages\n--status-fd value\n--page-server value\n',
  'criu --version': 'Version: 4.2.1\n',
  'criu check --feature uffd': '',
  'criu check --feature uffd-noncoop': '',
}

/** Answers by the longest beginning of the command that it knows; any other fails like a missing program. */
function nodeWith(answers: Record<string, string | undefined>): NodeCommands {
  const exec = async (argv: readonly string[]): Promise<CommandResult> => {
    assert.deepEqual(argv.slice(0, 2), ['env', 'PATH=/usr/sbin'])
    const command = argv.slice(2).join(' ')
    const known = Object.keys(answers).filter((one) => command === one || command.startsWith(`${one} `))
    const stdout = answers[known.sort((a, b) => b.length - a.length)[0] ?? '']
    return stdout === undefined ? { code: 127, stdout: '', stderr: 'said why\n' } : { code: 0, stdout, stderr: '' }
  }
  return { exec }
}
const check = (answers: Record<string, string | undefined>) =>
  checkPrograms(nodeWith(answers), { path: '/usr/sbin', runc: 'runc' })

test('a node with all programs is able, and tells where its runc is', async () => {
  assert.equal(await check(ABLE), '/usr/sbin/runc')
})

for (const [reason, answers] of [
  ['RuncMissing', { 'sh -c': undefined }],
  ['RuncMissing', { 'sh -c': 'runc: aliased\n' }],
  ['RuncTooOld', { '/usr/sbin/runc checkpoint': '--page-server value\n' }],
  ['CriuMissing', { 'criu --version': undefined }],
  ['CriuTooOld', { 'criu --version': 'Version: 4.0\n' }],
  ['CriuTooOld', { 'criu --version': 'Version: 3.19\n' }],
  ['LazyPagesMissing', { 'criu check --feature uffd-noncoop': undefined }],
] as const) {
  test(`a node is unable for ${reason} with ${JSON.stringify(answers)}`, async () => {
    await assert.rejects(check({ ...ABLE, ...answers }), { reason })
  })
}
