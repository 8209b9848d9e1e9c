import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { keyOf, ObjectCache } from './cache.ts'
import { type ConfigMap, configMap } from './testing/config-map.ts'

const indexes = { color: ({ data }: ConfigMap) => (data?.color === undefined ? [] : [data.color]) }

function version(name: string, color: string, resourceVersion: string, uid = name): ConfigMap {
  const object = configMap(name, { color })
  return { ...object, metadata: { ...object.metadata, resourceVersion, uid } }
}

it('tells an update once a version', () => {
  const cache = new ObjectCache<ConfigMap>()
  assert.equal(cache.set(version('a', 'red', '1'))[0]?.type, 'add')
  assert.deepEqual(cache.set(version('a', 'red', '1')), [])
  assert.equal(cache.set(version('a', 'blue', '2'))[0]?.type, 'update')
})

it('tells the end of the old object when a new one took its name', () => {
  const cache = new ObjectCache<ConfigMap>()
  cache.set(version('a', 'red', '1', 'first'))
  assert.deepEqual(
    cache.replace([version('a', 'red', '9', 'second')]).map(({ type }) => type),
    ['delete', 'add'],
  )
})

it('finds by index exactly what a search through the list finds', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const color = fc.constantFrom('red', 'blue')
  const step = fc.record({ name, color, remove: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const cache = new ObjectCache<ConfigMap>(indexes)
      steps.forEach((next, at) => {
        const object = version(next.name, next.color, String(at))
        if (next.remove) cache.delete(object)
        else cache.set(object)
      })
      for (const value of ['red', 'blue']) {
        const searched = cache.list().filter(({ data }) => data?.color === value)
        assert.deepEqual(cache.byIndex('color', value).map(keyOf).sort(), searched.map(keyOf).sort())
      }
    }),
  )
})

it('refuses an index that nobody declared', () => {
  assert.throws(() => new ObjectCache().byIndex('node', 'n'), /no index node/)
})
