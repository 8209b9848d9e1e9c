import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { createClient } from './client.ts'
import { configMap, configMaps } from './testing/config-map.ts'
import { startFakeApiServer } from './testing/fake-api-server.ts'
import { until } from './testing/until.ts'
import { lines } from './watch.ts'

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

it('finds the same lines wherever the network cuts the bytes, and drops the unfinished one', async () => {
  const texts = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\n')))
  const property = fc.asyncProperty(
    texts,
    fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
    async (all, sizes) => {
      const bytes = Buffer.from(`${all.map((text) => `${text}\n`).join('')}unfinished`)
      async function* chunks() {
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const end = at + (sizes[turn % sizes.length] ?? 1)
          yield bytes.subarray(at, end)
          at = end
        }
      }
      assert.deepEqual(await collect(lines(chunks())), all)
    },
  )
  await fc.assert(property)
})

it('ends quietly on a cut and on silence, and loudly on rubbish and expiry', async () => {
  await using server = await startFakeApiServer()
  const client = createClient({ connection: server.connection(), role: 'test' })
  const resourceVersion = String(server.store.version)
  const watch = (idleMs: number, from = resourceVersion) =>
    collect(client.watch(configMaps, { resourceVersion: from, idleMs }))

  const cut = watch(60_000)
  await until('the watch is open', () => server.watchCount() === 1)
  server.seed(configMaps, configMap('a'))
  server.sendBookmarks()
  await new Promise((resolve) => setTimeout(resolve, 20))
  server.cutWatches()
  assert.deepEqual(
    (await cut).map(({ type }) => type),
    ['ADDED', 'BOOKMARK'],
  )

  server.faults.silent = true
  assert.deepEqual(await watch(30), [])
  server.faults.silent = false
  server.faults.rubbish = true
  await assert.rejects(watch(60_000), { reason: 'InvalidWatchEvent' })
  server.store.compact()
  await assert.rejects(watch(60_000, '1'), { status: 410, reason: 'Expired' })
})
