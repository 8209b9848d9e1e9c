import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from './client.ts'
import { isConflict } from './error.ts'
import { commitStatus, updateStatus } from './status.ts'
import { type ConfigMap, configMap, configMaps } from './testing/config-map.ts'
import { startFakeApiServer } from './testing/fake-api-server.ts'

const count = (object: ConfigMap): ConfigMap => ({ ...object, status: { count: (object.status?.count ?? 0) + 1 } })

async function start() {
  const server = await startFakeApiServer()
  server.seed(configMaps, configMap('a', { kept: 'yes' }))
  return { server, client: createClient({ connection: server.connection(), role: 'test' }) }
}

describe('status', () => {
  it('loses no update of writers that meet', async () => {
    const { server, client } = await start()
    await using _ = server
    const write = () => updateStatus(client, configMaps, 'default', 'a', count, { attempts: 100 })
    await Promise.all(Array.from({ length: 8 }, write))
    assert.equal(server.objects(configMaps)[0]?.status?.count, 8)
  })

  it('writes nothing when nothing changed', async () => {
    const { server, client } = await start()
    await using _ = server
    const before = await client.get(configMaps, 'default', 'a')
    assert.deepEqual(await updateStatus(client, configMaps, 'default', 'a', () => undefined), before)
    assert.ok(server.requests.every(({ method }) => method === 'GET'))
  })

  it('gives up after so many conflicts', async () => {
    const { server, client } = await start()
    await using _ = server
    server.failNext(409, 'Conflict', { times: 9, method: 'PUT' })
    await assert.rejects(updateStatus(client, configMaps, 'default', 'a', count, { attempts: 3 }), isConflict)
    assert.equal(server.requests.filter(({ method }) => method === 'PUT').length, 3)
  })

  it('tries nothing again but conflicts', async () => {
    const { server, client } = await start()
    await using _ = server
    server.failNext(403, 'Forbidden', { method: 'PUT' })
    await assert.rejects(updateStatus(client, configMaps, 'default', 'a', count), { reason: 'Forbidden' })
  })

  it('commits only what was observed, whatever the mutation does to the version, and leaves the observed object alone', async () => {
    const { server, client } = await start()
    await using _ = server
    const observed = Object.freeze(await client.get(configMaps, 'default', 'a'))
    const newer = await updateStatus(client, configMaps, 'default', 'a', count)
    const forged = (object: ConfigMap) => {
      object.metadata.resourceVersion = newer.metadata.resourceVersion ?? ''
      object.status = { phase: 'Committed' }
      return undefined
    }
    await assert.rejects(commitStatus(client, configMaps, observed, forged), isConflict)
    assert.equal(observed.status, undefined)
    const committed = await commitStatus(client, configMaps, newer, forged)
    assert.deepEqual([committed.status, committed.data], [{ phase: 'Committed' }, { kept: 'yes' }])
  })

  it('lets one of two commits win', async () => {
    const { server, client } = await start()
    await using _ = server
    const observed = await client.get(configMaps, 'default', 'a')
    const commit = (phase: string) =>
      commitStatus(client, configMaps, observed, (object) => ({ ...object, status: { phase } }))
    const results = await Promise.allSettled([commit('Committed'), commit('Cancelled')])
    assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected'])
  })
})
