import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import pino from 'pino'
import type { ImageEvent } from './event.ts'
import { kafkaConfig } from './kafka-config.ts'
import { createKubernetesPublisher } from './kubernetes-bus.ts'
import { eventsOf } from './notification.ts'
import { startWebhook } from './webhook.ts'

const UID = '5f2a1c3e-0000-4000-8000-000000000001'
const DIGEST = `sha256:${'a'.repeat(64)}`
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

const told = (changes: object = {}, target: object = {}) => ({
  events: [
    {
      action: 'push',
      timestamp: '2026-01-01T00:00:00Z',
      target: {
        mediaType: MANIFEST,
        repository: `podferry/default/${UID}/main`,
        digest: DIGEST,
        tag: 'checkpoint',
        ...target,
      },
      ...changes,
    },
  ],
})

test('the push of a checkpoint manifest is an event', () => {
  assert.deepEqual(eventsOf(told(), 'node-2'), [
    {
      namespace: 'default',
      migrationUID: UID,
      container: 'main',
      digest: DIGEST,
      node: 'node-2',
      at: '2026-01-01T00:00:00Z',
    },
  ])
})

const NO_EVENT: Record<string, unknown> = {
  'a pull': told({ action: 'pull' }),
  'a blob': told({}, { mediaType: 'application/octet-stream', tag: undefined }),
  'a foreign repository': told({}, { repository: 'library/redis' }),
  'another tag': told({}, { tag: 'latest' }),
  'a digest that is none': told({}, { digest: 'sha256:../..' }),
  'an event without a target': { events: [{ action: 'delete' }, null, 'x'] },
}

for (const [what, body] of Object.entries(NO_EVENT)) {
  test(`${what} is no event`, () => assert.deepEqual(eventsOf(body, 'node-2'), []))
}

test('an event that is none does not hide the next', () => {
  const [good] = told().events
  assert.equal(eventsOf({ events: [{ action: 'push' }, good] }, 'node-2')?.length, 1)
})

test('what is no envelope has no events', () => {
  for (const body of [undefined, null, 'x', {}, { events: 'x' }]) assert.equal(eventsOf(body, 'node-2'), undefined)
})

test('an event handler without a token does not start', async () => {
  const publisher = createKubernetesPublisher(async () => {})
  const started = startWebhook({ publisher, node: 'n', token: '', port: 0, log: pino({ level: 'silent' }) })
  await assert.rejects(started, { reason: 'InvalidSetting', message: /registry-config/ })
})

async function post(
  body: string,
  token: string,
  publish: (event: ImageEvent) => Promise<void> = async () => {},
): Promise<number> {
  const publisher = createKubernetesPublisher(publish)
  const webhook = await startWebhook({
    publisher,
    node: 'node-2',
    token: 'secret',
    port: 0,
    log: pino({ level: 'silent' }),
  })
  try {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(`http://127.0.0.1:${webhook.port}/events`, { method: 'POST', headers, body })).status
  } finally {
    await webhook.close()
  }
}

test('without the token nothing is taken', async () => assert.equal(await post(JSON.stringify(told()), 'wrong!'), 401))
test('what is no JSON is refused', async () => assert.equal(await post('{', 'secret'), 400))
test('a body without end is refused', async () => assert.equal(await post('x'.repeat(2 << 20), 'secret'), 413))
test('the registry is told to repeat what the bus did not take', async () => {
  assert.equal(await post(JSON.stringify(told()), 'secret', () => Promise.reject(new Error('full'))), 500)
})

test('Kafka settings: each mistake names its variable', () => {
  const read = (path: string) => {
    if (path !== '/there') throw new Error('ENOENT')
    return 'content'
  }
  const mistakes: [Record<string, string>, RegExp][] = [
    [{}, /PODFERRY_KAFKA_BROKERS.*is not set/],
    [{ BROKERS: 'a' }, /a is not host:port/],
    [{ BROKERS: 'a:1', CA_FILE: '/missing' }, /PODFERRY_KAFKA_CA_FILE.*\/missing/],
    [{ BROKERS: 'a:1', CERT_FILE: '/there' }, /KEY_FILE/],
    [{ BROKERS: 'a:1', KEY_FILE: '/there' }, /CERT_FILE/],
    [{ BROKERS: 'a:1', TLS: 'yes' }, /PODFERRY_KAFKA_TLS.*neither true nor false/],
    [{ BROKERS: 'a:1', TLS: 'false', CA_FILE: '/there' }, /PODFERRY_KAFKA_TLS.*is false/],
    [{ BROKERS: 'a:1', CREATE_TOPIC: 'no' }, /PODFERRY_KAFKA_CREATE_TOPIC/],
    [{ BROKERS: 'a:1', SASL_MECHANISM: 'X' }, /SCRAM-SHA-512/],
    [{ BROKERS: 'a:1', SASL_MECHANISM: 'PLAIN' }, /USERNAME/],
    [{ BROKERS: 'a:1', SASL_MECHANISM: 'PLAIN', USERNAME: 'u' }, /PASSWORD_FILE/],
  ]
  const env = (settings: Record<string, string>) =>
    Object.fromEntries(Object.entries(settings).map(([key, value]) => [`PODFERRY_KAFKA_${key}`, value]))
  for (const [settings, message] of mistakes) assert.throws(() => kafkaConfig(env(settings), read), message)
  const full = {
    BROKERS: 'a:1, b:2',
    TLS: 'true',
    CREATE_TOPIC: 'false',
    SASL_MECHANISM: 'SCRAM-SHA-512',
    USERNAME: 'u',
    PASSWORD_FILE: '/there',
  }
  assert.deepEqual(kafkaConfig(env(full), read), {
    brokers: ['a:1', 'b:2'],
    createTopic: false,
    tls: {},
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'u', password: 'content' },
  })
})

test('whatever a registry sends, it never becomes an event that breaks its schema', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (repository, digest, tag) => {
      for (const event of eventsOf(told({}, { repository, digest, tag }), 'n') ?? []) assert.equal(event.node, 'n')
    }),
  )
})
