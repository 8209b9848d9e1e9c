import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createRestoreLogs } from './restore-log.ts'

const [FIRST, SECOND] = ['a'.repeat(64), 'b'.repeat(64)]
const ERROR = "(00.01)      7: Error (criu/files-reg.c:2143): Can't open file x on restore: No such file or directory"

async function aNode() {
  const hostRoot = await mkdtemp(join(tmpdir(), 'podferry-restore-log-'))
  const tasks = join(hostRoot, '/var/lib/containerd/io.containerd.runtime.v2.task/k8s.io')
  await mkdir(tasks, { recursive: true })
  return {
    hostRoot,
    async fail(id: string, text: string) {
      await mkdir(join(tasks, id))
      await delay(20)
      await writeFile(join(tasks, id, 'restore.log'), '')
      await delay(20)
      await writeFile(join(tasks, id, 'restore.log'), text, { flag: 'a' })
      await rm(join(tasks, id), { recursive: true })
    },
    [Symbol.asyncDispose]: () => rm(hostRoot, { recursive: true }),
  }
}

describe('restore logs', () => {
  it('keep the words of a container that is gone already', async () => {
    await using node = await aNode()
    const logs = createRestoreLogs(node.hostRoot)
    logs.hold('m')
    await node.fail(FIRST, `(00.00) all well\n${ERROR}\n`)
    await delay(20)
    assert.deepEqual(await logs.errors([SECOND]), [])
    assert.deepEqual(await logs.errors([FIRST]), [ERROR])
    logs.release('m')
    assert.deepEqual(await logs.errors([FIRST]), [])
  })

  it('see a restore that had begun when we came', async () => {
    await using node = await aNode()
    const failing = node.fail(FIRST, ERROR)
    await delay(10)
    const logs = createRestoreLogs(node.hostRoot)
    logs.hold('m')
    await failing
    assert.deepEqual(await logs.errors([FIRST]), [ERROR])
    logs.release('m')
  })

  it('stay open as long as one Migration needs them', async () => {
    await using node = await aNode()
    const logs = createRestoreLogs(node.hostRoot)
    logs.hold('m')
    logs.hold('n')
    logs.release('m')
    await node.fail(FIRST, ERROR)
    assert.deepEqual(await logs.errors([FIRST]), [ERROR])
    logs.release('n')
  })

  it('are nothing where the runtime is another one', async () => {
    const logs = createRestoreLogs('/nonexistent')
    logs.hold('m')
    assert.deepEqual(await logs.errors([FIRST]), [])
    logs.release('m')
  })
})
