/** Memory stays flat while a large archive passes through, on both ends. Takes some seconds. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeAuthority } from '../../controller/certificates/issue.ts'
import { sendArchive } from './client.ts'
import { fixedIdentity } from './identity.ts'
import { makeIdentity } from './testing/identities.ts'

const GiB = 1024 ** 3
/** Far from what they take (the receiver 140 to 180, the sender 40 to 90): when memory is collected is V8's choice. */
const LIMIT_MIB = 256
const UID = '5f2a1c3e-0000-4000-8000-000000000001'

const migration = {
  metadata: { uid: UID },
  status: {
    source: { node: 'node-1' },
    destination: { node: 'node-2' },
    containers: [{ name: 'main' }],
    conditions: ['Accepted', 'DestinationReady'].map((type) => ({ type, status: 'True' })),
  },
}

it('a gibibyte passes through two agents in little memory', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'podferry-memory-'))
  const archivePath = join(folder, 'archive.tar')
  const file = await open(archivePath, 'w')
  await file.truncate(GiB)
  await file.close()
  const authority = await makeAuthority(new Date(), 3600_000)
  const identity = await makeIdentity({ authority, node: 'node-2' })
  const receiver = fork(join(import.meta.dirname, 'testing/receiver.ts'), {
    env: { RECEIVER: JSON.stringify({ identity, migration }) },
  })
  try {
    const [{ port }] = (await once(receiver, 'message')) as [{ port: number }]
    const received = once(receiver, 'message') as Promise<[{ peak: number }]>
    const sender = fixedIdentity(await makeIdentity({ authority, node: 'node-1' }))
    const before = process.memoryUsage.rss()
    let most = before
    const { size } = await sendArchive({
      identity: sender,
      node: { name: 'node-2', address: '127.0.0.1' },
      ...{ port, namespace: 'default', migrationName: 'move', migrationUID: UID, container: 'main', archivePath },
      signal: new AbortController().signal,
      onProgress: () => {
        most = Math.max(most, process.memoryUsage.rss())
      },
    })
    assert.equal(size, GiB)
    const [{ peak }] = await received
    const grown = (most - before) / 1024 ** 2
    console.log(`receiver at most ${Math.round(peak)} MiB, sender ${Math.round(grown)} MiB more than before`)
    assert.ok(peak < LIMIT_MIB, `the receiver took ${peak} MiB`)
    // The sender is measured by its growth: this process has loaded what only tests need.
    assert.ok(grown < LIMIT_MIB, `the sender took ${grown} MiB more`)
  } finally {
    receiver.kill()
    await rm(folder, { recursive: true })
  }
})
