/** With real mounts on this machine. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { NodeCommands } from '../install/node-commands.ts'
import { removeFolder } from './remove-folder.ts'

const run = promisify(execFile)
const mounts = () => readFile('/proc/self/mounts', 'utf8')
const node: NodeCommands = {
  exec: ([program = '', ...argv]) =>
    run(program, argv).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error) => ({ code: 1, stdout: '', stderr: error.message }),
    ),
}

/** A folder in which another one, with a file, is mounted twice over, as a killed CRIU leaves its yard. */
async function withYard(work: (folder: string, precious: string) => Promise<void>): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'podferry yard-'))
  const [folder, outside] = [join(scratch, 'work'), join(scratch, 'outside')]
  const yard = join(folder, 'main/.criu.cgyard')
  await mkdir(join(outside, 'inner'), { recursive: true })
  await writeFile(join(outside, 'precious'), 'kept')
  await mkdir(yard, { recursive: true })
  await run('mount', ['--bind', outside, yard])
  await run('mount', ['-t', 'tmpfs', 'tmpfs', join(yard, 'inner')])
  try {
    await work(folder, join(outside, 'precious'))
  } finally {
    for (const place of [join(yard, 'inner'), yard]) await run('umount', ['--lazy', place]).catch(() => {})
    await rm(scratch, { recursive: true })
  }
}

test('what is mounted in a folder outlives it', () =>
  withYard(async (folder, precious) => {
    await removeFolder('/', folder, { node, mounts })
    assert.equal(await readFile(precious, 'utf8'), 'kept')
    await assert.rejects(stat(folder), { code: 'ENOENT' })
    assert.ok(!(await mounts()).includes('criu.cgyard'))
    await removeFolder('/', folder, { node, mounts })
  }))

test('nothing is removed while something stays mounted', () =>
  withYard(async (folder, precious) => {
    const busy: NodeCommands = { exec: async () => ({ code: 32, stdout: '', stderr: 'target is busy' }) }
    await assert.rejects(removeFolder('/', folder, { node: busy, mounts }), {
      reason: 'NodeCommandFailed',
      message: /inner on the node stays mounted.*target is busy/,
    })
    assert.equal(await readFile(precious, 'utf8'), 'kept')
  }))

test('what only the agent’s own namespace has mounted there outlives it too', () =>
  withYard(async (folder, precious) => {
    await removeFolder('/', folder, { node, mounts: async () => '' })
    assert.equal(await readFile(precious, 'utf8'), 'kept')
    await assert.rejects(stat(folder), { code: 'ENOENT' })
  }))
