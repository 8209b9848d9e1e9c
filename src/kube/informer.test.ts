import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { keyOf } from './cache.ts'
import { createClient } from './client.ts'
import { createInformer, type Informer } from './informer.ts'
import { type ConfigMap, configMap, configMaps } from './testing/config-map.ts'
import { type FakeApiServer, startFakeApiServer } from './testing/fake-api-server.ts'
import { silentLog } from './testing/silent-log.ts'
import { until } from './testing/until.ts'

function inform(server: FakeApiServer, options: Partial<Parameters<typeof createInformer<ConfigMap>>[0]> = {}) {
  const client = createClient({ connection: server.connection(), role: 'test' })
  const backoff = { baseMs: 1, maxMs: 5 }
  const informer = createInformer({ client, resource: configMaps, log: silentLog, backoff, pageSize: 2, ...options })
  const mirror = new Map<string, string | undefined>()
  // What a handler throws is logged and forgotten; therefore complaints are collected.
  const complaints: string[] = []
  const demand = (holds: boolean, object: ConfigMap, what: string) => {
    if (!holds) complaints.push(`${keyOf(object)}@${object.metadata.resourceVersion}: ${what}`)
  }
  informer.addHandler({
    add(object) {
      demand(!mirror.has(keyOf(object)), object, 'added twice')
      mirror.set(keyOf(object), object.metadata.resourceVersion)
    },
    update(object, { metadata: { resourceVersion } }) {
      demand(mirror.get(keyOf(object)) === resourceVersion, object, 'updated from another version than was told')
      demand(Number(object.metadata.resourceVersion) > Number(resourceVersion), object, 'time runs backwards')
      mirror.set(keyOf(object), object.metadata.resourceVersion)
    },
    delete(object) {
      demand(mirror.delete(keyOf(object)), object, 'deleted twice')
    },
  })
  return { informer, mirror, complaints }
}

const versions = (objects: readonly ConfigMap[]) =>
  objects.map((object) => `${keyOf(object)}@${object.metadata.resourceVersion}`).sort()

function upToDate(server: FakeApiServer, informer: Informer<ConfigMap>): boolean {
  return versions(informer.list()).join() === versions(server.objects(configMaps)).join()
}

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name, value: fc.string() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('cut', 'half', 'rubbish', 'compact', 'bookmark', 'fail', 'double'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pause' as const) }) },
)

async function apply(server: FakeApiServer, next: Drawn<typeof step>): Promise<void> {
  if (next.do === 'put' || next.do === 'remove') {
    const known = server.store.find('/configmaps', 'default', next.name) as ConfigMap | undefined
    if (next.do === 'remove') {
      if (known !== undefined) server.store.delete('/configmaps', 'default', next.name)
    } else if (known === undefined) server.seed(configMaps, configMap(next.name))
    else
      server.store.update('/configmaps', { ...known, data: { value: 'value' in next ? next.value : '' } } as ConfigMap)
    return
  }
  const faults: Record<string, () => unknown> = {
    cut: () => server.cutWatches(),
    half: () => (server.faults.halfLine = true),
    rubbish: () => (server.faults.rubbish = true),
    double: () => (server.faults.duplicates = true),
    compact: () => server.store.compact(),
    bookmark: () => server.sendBookmarks(),
    fail: () => server.failNext(500, 'InternalError', { times: 2 }),
    pause: () => new Promise((resolve) => setTimeout(resolve, 5)),
  }
  await faults[next.do]?.()
}

type Drawn<A> = A extends fc.Arbitrary<infer T> ? T : never

describe('informer', () => {
  it('equals the server after any sequence of changes and faults, and its handlers were told the same', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 30, size: 'max' }), async (steps) => {
      await using server = await startFakeApiServer()
      server.seed(configMaps, configMap('a'))
      const { informer, mirror, complaints } = inform(server)
      informer.start()
      try {
        await until('a watch is open', () => server.watchCount() === 1)
        for (const next of steps) await apply(server, next)
        await until('the informer has caught up', () => informer.hasSynced() && upToDate(server, informer))
        assert.deepEqual([...mirror].map(([key, version]) => `${key}@${version}`).sort(), versions(informer.list()))
        assert.deepEqual(complaints, [])
      } finally {
        await informer.close()
      }
    })
    await fc.assert(property, { numRuns: 60 })
  })

  it('goes on from a bookmark instead of listing again', async () => {
    await using server = await startFakeApiServer()
    const { informer } = inform(server)
    informer.start()
    await until('a watch is open', () => server.watchCount() === 1)
    server.store.create('/secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'default', name: 's' } })
    server.sendBookmarks()
    await new Promise((resolve) => setTimeout(resolve, 20))
    server.store.compact()
    server.cutWatches()
    await until('a watch is open again', () => server.watchCount() === 1)
    assert.equal(server.requests.filter(({ path }) => !path.includes('watch=true')).length, 1)
    await informer.close()
  })

  it('lists again now and then, so that even an event that no watch told is found', async () => {
    await using server = await startFakeApiServer()
    server.faults.silent = true
    const { informer } = inform(server, { relistMs: 30 })
    informer.start()
    await informer.synced()
    server.seed(configMaps, configMap('untold'))
    await until('the object is found', () => informer.get('default', 'untold') !== undefined)
    await informer.close()
  })

  it('leaves a watch that has fallen silent', async () => {
    await using server = await startFakeApiServer()
    server.faults.silent = true
    const { informer } = inform(server, { idleMs: 20 })
    informer.start()
    await informer.synced()
    await until('a watch is open', () => server.watchCount() === 1)
    server.seed(configMaps, configMap('a'))
    server.faults.silent = false
    await until('the object is found', () => informer.get('default', 'a') !== undefined)
    await informer.close()
  })

  it('keeps no managedFields and nothing that anybody could change', async () => {
    await using server = await startFakeApiServer()
    const object = configMap('a', { x: '1' })
    server.seed(configMaps, { ...object, metadata: { ...object.metadata, managedFields: [{}] } })
    const { informer } = inform(server)
    informer.start()
    await informer.synced()
    const cached = informer.get('default', 'a')
    assert.equal(cached?.metadata.managedFields, undefined)
    assert.throws(() => Object.assign(cached?.data ?? {}, { x: '2' }), TypeError)
    await informer.close()
  })

  it('follows a selector: what ceases to match is deleted', async () => {
    await using server = await startFakeApiServer()
    const client = createClient({ connection: server.connection(), role: 'test' })
    const object = configMap('a')
    server.seed(configMaps, { ...object, metadata: { ...object.metadata, labels: { node: 'n1' } } })
    const { informer } = inform(server, { labelSelector: 'node=n1', indexes: { all: () => ['x'] } })
    informer.start()
    await informer.synced()
    assert.equal(informer.byIndex('all', 'x').length, 1)
    await client.patch(configMaps, 'default', 'a', { type: 'merge', body: { metadata: { labels: { node: 'n2' } } } })
    await until('it is gone', () => informer.list().length === 0)
    assert.equal(informer.byIndex('all', 'x').length, 0)
    await informer.close()
  })

  it('goes on when a handler throws', async () => {
    await using server = await startFakeApiServer()
    const { informer } = inform(server)
    const heard: string[] = []
    informer.addHandler({ add: () => assert.fail('a broken handler') })
    informer.addHandler({ add: (object) => heard.push(object.metadata.name) })
    informer.start()
    server.seed(configMaps, configMap('a'))
    await until('the second handler heard', () => heard.length === 1)
    await informer.close()
  })
})
