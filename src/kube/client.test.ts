import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { createClient } from './client.ts'
import { plainConnection } from './connection.ts'
import { isAlreadyExists, isConflict, isNotFound, KubeError } from './error.ts'
import type { KubeObject, Resource } from './resource.ts'
import { configMap, configMaps } from './testing/config-map.ts'
import { startFakeApiServer } from './testing/fake-api-server.ts'

const nodes: Resource = { group: '', version: 'v1', plural: 'nodes', namespaced: false }

async function start() {
  const server = await startFakeApiServer()
  return { server, client: createClient({ connection: server.connection(), role: 'test' }) }
}

describe('client', () => {
  it('keeps fields that nobody here knows, on the way in and out', async () => {
    const { server, client } = await start()
    await using _ = server
    const pods: Resource<KubeObject & { spec: unknown }> = {
      group: '',
      version: 'v1',
      plural: 'pods',
      namespaced: true,
    }
    const spec = { containers: [{ name: 'a', fieldOfTheFuture: { deep: [1, null, 'x'] } }], alsoNew: true }
    await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'default', name: 'p' }, spec })
    assert.deepEqual((await client.get(pods, 'default', 'p')).spec, spec)
  })

  it('gives list items the kind and apiVersion that the server leaves out, page by page', async () => {
    const { server, client } = await start()
    await using _ = server
    for (const name of ['a', 'b', 'c']) server.seed(configMaps, configMap(name))
    const first = await client.list(configMaps, { namespace: 'default', limit: 2 })
    assert.equal(first.items.length, 2)
    assert.equal(first.items[0]?.kind, 'ConfigMap')
    const second = await client.list(configMaps, { namespace: 'default', limit: 2, continue: first.continue })
    assert.deepEqual(
      second.items.map(({ metadata }) => metadata.name),
      ['c'],
    )
    assert.equal(second.continue, undefined)
  })

  it('names itself and the owner of what it writes', async () => {
    const { server, client } = await start()
    await using _ = server
    await client.create(configMaps, configMap('a'))
    const request = server.requests.at(-1)
    assert.match(request?.headers['user-agent'] ?? '', /^podferry\/\d+\.\d+\.\d+ \(test\)$/)
    assert.match(request?.path ?? '', /fieldManager=podferry-test/)
  })

  it('sends each kind of patch with its own media type, and force only when asked', async () => {
    const { server, client } = await start()
    await using _ = server
    server.seed(configMaps, configMap('a', { one: '1' }))
    const merged = await client.patch(configMaps, 'default', 'a', { type: 'merge', body: { data: { two: '2' } } })
    assert.deepEqual(merged.data, { one: '1', two: '2' })
    const operations = [
      { op: 'test', path: '/data/one', value: '1' },
      { op: 'remove', path: '/data/two' },
    ] as const
    assert.deepEqual((await client.patch(configMaps, 'default', 'a', { type: 'json', operations })).data, { one: '1' })
    const body = configMap('b', { three: '3' })
    await client.patch(configMaps, 'default', 'b', { type: 'apply', body, force: true })
    assert.equal(server.requests.at(-1)?.headers['content-type'], 'application/apply-patch+yaml')
    assert.match(server.requests.at(-1)?.path ?? '', /force=true/)
    const strategic = client.patch(configMaps, 'default', 'b', { type: 'strategic', body: {} })
    await assert.rejects(strategic, { status: 415, reason: 'UnsupportedMediaType' })
  })

  it('tells a missing object, a conflict and a taken name apart', async () => {
    const { server, client } = await start()
    await using _ = server
    const old = await client.create(configMaps, configMap('a'))
    await client.patch(configMaps, 'default', 'a', { type: 'merge', body: { data: { x: '1' } } })
    await assert.rejects(client.get(configMaps, 'default', 'none'), (error) => isNotFound(error) && !isConflict(error))
    await assert.rejects(client.replace(configMaps, old), (error) => isConflict(error) && error.retry === 'backoff')
    await assert.rejects(
      client.create(configMaps, configMap('a')),
      (error) => isAlreadyExists(error) && !isConflict(error),
    )
    const preconditions = { uid: 'another' }
    await assert.rejects(client.delete(configMaps, 'default', 'a', { preconditions }), isConflict)
    await client.delete(configMaps, 'default', 'a', { preconditions: { uid: old.metadata.uid ?? '' } })
    await assert.rejects(client.get(configMaps, 'default', 'a'), isNotFound)
  })

  it('names the field that the server refuses', async () => {
    const { server, client } = await start()
    await using _ = server
    server.rules.push(() => ({ field: 'spec.podName', message: 'is immutable' }))
    await assert.rejects(client.create(configMaps, configMap('a')), (error: unknown) => {
      assert.ok(error instanceof KubeError)
      assert.equal(error.reason, 'Invalid')
      assert.deepEqual(error.causes, [{ field: 'spec.podName', message: 'is immutable' }])
      assert.match(error.message, /spec\.podName: is immutable/)
      return true
    })
  })

  it('waits when the server asks for a pause, and only then', async () => {
    const { server, client } = await start()
    await using _ = server
    server.seed(configMaps, configMap('a'))
    server.failNext(429, 'TooManyRequests', { times: 2, retryAfter: 0 })
    await client.get(configMaps, 'default', 'a')
    assert.equal(server.requests.length, 3)
    server.failNext(503, 'ServiceUnavailable')
    await assert.rejects(client.get(configMaps, 'default', 'a'), { status: 503, retry: 'backoff' })
  })

  it('never turns an empty name into the deletion of everything', async () => {
    const { server, client } = await start()
    await using _ = server
    await assert.rejects(client.delete(configMaps, 'default', ''), { reason: 'InvalidName' })
    await assert.rejects(client.delete(configMaps, undefined, 'a'), { reason: 'InvalidName' })
    await assert.rejects(client.get(nodes, undefined, '../secrets'), { reason: 'InvalidName' })
    assert.equal(server.requests.length, 0)
  })

  it('says whether the time was up, the caller gave up or nobody is there', async () => {
    const silent = http.createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const client = createClient({ connection: plainConnection(url), role: 'test' })
    await assert.rejects(client.get(nodes, undefined, 'n', { timeoutMs: 20 }), { reason: 'Timeout', status: 0 })
    const signal = AbortSignal.timeout(20)
    await assert.rejects(client.get(nodes, undefined, 'n', { signal }), { reason: 'Aborted' })
    silent.closeAllConnections()
    await new Promise((resolve) => silent.close(resolve))
    await assert.rejects(client.get(nodes, undefined, 'n'), { reason: 'Unreachable', retry: 'backoff' })
  })

  it('uses a kept-alive connection again after the server has closed it', async () => {
    let connections = 0
    const seen = new WeakSet<object>()
    const server = http.createServer((request, response) => {
      if (seen.has(request.socket)) return request.socket.resetAndDestroy()
      seen.add(request.socket)
      return response.end('{"kind":"Node","apiVersion":"v1","metadata":{"name":"n"}}')
    })
    server.on('connection', () => connections++)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createClient({ connection: plainConnection(url), role: 'test' })
    await client.get(nodes, undefined, 'n')
    await client.get(nodes, undefined, 'n')
    assert.equal(connections, 2)
    client.close()
    server.closeAllConnections()
    server.close()
  })
})
