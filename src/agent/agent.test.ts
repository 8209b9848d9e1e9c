import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { pino } from 'pino'
import { eventually } from '../../lab/scenario/eventually.ts'
import type { Migration, MigrationStatus } from '../api/migration.ts'
import type { Pod } from '../api/pod.ts'
import { MIGRATIONS, PODS } from '../api/resources.ts'
import { createClient } from '../kube/client.ts'
import { startFakeApiServer } from '../kube/testing/fake-api-server.ts'
import { createAgentLoop } from './agent.ts'
import type { MigrationHandler } from './context.ts'
import { startHealth } from './health.ts'

const log = pino({ level: 'silent' })

const migration = (name: string, status: MigrationStatus): Migration => ({
  apiVersion: 'podferry.dev/v1alpha1',
  kind: 'Migration',
  metadata: {
    name,
    namespace: 'ns',
    uid: '',
    resourceVersion: '',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { podName: 'p', mode: 'Image', connections: 'Auto', timeoutSeconds: 600 },
  status,
})

/** Writes down what it is given. */
function recording(name: string, told: string[]): MigrationHandler {
  return {
    reconcile: async ({ metadata }) => {
      told.push(`${name} ${metadata.name}`)
      return undefined
    },
    forget: async (uid) => {
      told.push(`${name} forgets ${uid}`)
    },
  }
}

test('each Migration goes to the sides it concerns, again when its pod changes, and is forgotten when it is gone', async () => {
  await using server = await startFakeApiServer()
  const client = createClient({ connection: server.connection(), role: 'agent' })
  const told: string[] = []
  const sides = { source: recording('source', told), destination: recording('destination', told) }
  const ctx = { nodeName: 'here', client, log, hostRoot: '/', now: () => new Date() }
  const loop = createAgentLoop(
    ctx,
    () => sides,
    () => ['uid-gone'],
  )

  const metadata = { name: 'p', namespace: 'ns', uid: '', resourceVersion: '', creationTimestamp: '' }
  const spec = { nodeName: 'here', containers: [] }
  const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec }
  const podUID = server.seed(PODS, pod).metadata.uid
  const seed = (name: string, source: string, uid: string, destination: string) =>
    server.seed(
      MIGRATIONS,
      migration(name, { source: { node: source, podUID: uid }, destination: { node: destination } }),
    )
  const leaving = seed('leaves', 'here', podUID, 'there').metadata.uid
  seed('comes', 'there', 'another', 'here')
  seed('elsewhere', 'there', 'another', 'yonder')
  loop.start()
  try {
    const all = ['destination comes', 'destination forgets uid-gone', 'source forgets uid-gone', 'source leaves']
    await eventually('all are handled', async () => all.every((line) => told.includes(line)), 5_000, 10)
    await eventually('both informers know everything', async () => loop.isReady(), 5_000, 10)
    assert.ok(!told.some((line) => line.includes('elsewhere')))

    told.length = 0
    await client.patch(PODS, 'ns', 'p', { type: 'merge', body: { metadata: { labels: { a: 'b' } } } })
    await eventually('the pod wakes its Migration', async () => told.includes('source leaves'), 5_000, 10)
    await client.delete(MIGRATIONS, 'ns', 'leaves')
    await eventually('it is forgotten', async () => told.includes(`source forgets ${leaving}`), 5_000, 10)
  } finally {
    await loop.stop()
    client.close()
  }
})

test('health says what is missing until nothing is, and answers nothing else', async () => {
  let missing = ['a certificate']
  const health = await startHealth(() => missing, 0)
  const get = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const request = http.get({ host: '127.0.0.1', port: health.port, path, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      request.once('error', reject)
    })
  assert.equal(await get('/healthz'), 503)
  missing = []
  assert.equal(await get('/healthz'), 200)
  assert.equal(await get('/metrics'), 404)
  await health.close()
})
