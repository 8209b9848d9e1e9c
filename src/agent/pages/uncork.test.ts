import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { statOf } from '../jobs/processes.ts'
import { createDescriptors } from './descriptors.ts'
import { uncork } from './uncork.ts'

test("the cork is taken from the other end of a connection, which is another process's", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'podferry-uncork-'))
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // A session of its own, like a job.
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./testing/corked.ts', import.meta.url)), String(port)],
    {
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  try {
    const [socket] = (await once(server, 'connection')) as [Socket]
    const said = createInterface({ input: child.stdout })
    const isCorked = async (): Promise<boolean> => {
      child.stdin.write('?\n')
      const [answer] = await once(said, 'line')
      return answer === '1'
    }
    assert.equal(await isCorked(), true)
    const pidFile = join(folder, 'job.pid')
    await writeFile(pidFile, `${child.pid} ${(await statOf(child.pid ?? 0))?.startTime}\n`)
    const logged: string[] = []
    await uncork(socket, pidFile, createDescriptors(), (message) => logged.push(message))
    assert.equal(await isCorked(), false)
    assert.equal(logged.length, 0, String(logged))
    await writeFile(pidFile, '')
    await uncork(socket, pidFile, createDescriptors(), (message) => logged.push(message))
    assert.deepEqual(logged, ['nobody was found at the other end of the local connection'])
    socket.destroy()
  } finally {
    child.kill('SIGKILL')
    server.close()
    await rm(folder, { recursive: true })
  }
})
