/** Kafka as operators run it: TLS, client certificates, SASL, topics only by decision. Settings come as users give them. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import type { ImageEvent } from './event.ts'
import { createKafkaConsumer, createKafkaPublisher } from './kafka-bus.ts'
import { kafkaConfig } from './kafka-config.ts'
import { type SecureKafka, startSecureKafka } from './testing/secure-kafka.ts'

const log = pino({ level: 'silent' })
const user = { name: 'podferry', password: 'a-password' }
let kafka: SecureKafka
let folder: string

before(async () => {
  kafka = await startSecureKafka(user)
  folder = await mkdtemp(join(tmpdir(), 'podferry-settings-'))
  await writeFile(join(folder, 'password'), `${user.password}\n`)
  await writeFile(join(folder, 'wrong'), 'guessed')
})
after(async () => {
  await kafka?.stop()
  await rm(folder, { recursive: true })
})

const anEvent = (): ImageEvent => ({
  namespace: 'default',
  migrationUID: randomUUID(),
  container: 'main',
  digest: `sha256:${'a'.repeat(64)}`,
  node: 'node-2',
  at: '2026-01-01T00:00:00Z',
})

const settings = (values: Record<string, string>) =>
  kafkaConfig(Object.fromEntries(Object.entries(values).map(([name, value]) => [`PODFERRY_KAFKA_${name}`, value])))

const sasl = (mechanism: string, password = 'password') =>
  settings({
    BROKERS: kafka.sasl,
    CA_FILE: kafka.ca,
    SASL_MECHANISM: mechanism,
    USERNAME: user.name,
    PASSWORD_FILE: join(folder, password),
  })

test('a topic that is missing and may not be made is told', async () => {
  const publisher = await createKafkaPublisher({ ...sasl('SCRAM-SHA-512'), createTopic: false }, 'test')
  await assert.rejects(publisher.publish(anEvent()), {
    reason: 'KafkaTopicMissing',
    message: /podferry\.image-events.*PODFERRY_KAFKA_CREATE_TOPIC/,
  })
  await publisher.close()
})

test('a wrong password is refused, not waited for', async () => {
  const publisher = await createKafkaPublisher(sasl('SCRAM-SHA-512', 'wrong'), 'test')
  await assert.rejects(publisher.publish(anEvent()))
  await publisher.close()
})

test('a broker of an unknown CA is not spoken to', async () => {
  const publisher = await createKafkaPublisher({ ...sasl('PLAIN'), tls: {} }, 'test')
  await assert.rejects(publisher.publish(anEvent()))
  await publisher.close()
})

const WAYS = {
  'SASL PLAIN over TLS': () => sasl('PLAIN'),
  'SASL SCRAM-SHA-256 over TLS': () => sasl('SCRAM-SHA-256'),
  'SASL SCRAM-SHA-512 over TLS': () => sasl('SCRAM-SHA-512'),
  'a client certificate': () =>
    settings({ BROKERS: kafka.mutual, CA_FILE: kafka.ca, CERT_FILE: kafka.cert, KEY_FILE: kafka.key }),
}

for (const [way, config] of Object.entries(WAYS)) {
  test(`an event goes through by ${way}, whose topic is made when it lacks`, async () => {
    const event = anEvent()
    const handled: ImageEvent[] = []
    const abort = new AbortController()
    const consumer = createKafkaConsumer({ config: config(), clientId: 'test', log, group: `test-${randomUUID()}` })
    const consuming = consumer.consume(async (each) => void handled.push(each), abort.signal)
    const publisher = await createKafkaPublisher(config(), 'test')
    try {
      await publisher.publish(event)
      const deadline = Date.now() + 30_000
      while (!handled.some(({ migrationUID }) => migrationUID === event.migrationUID)) {
        assert.ok(Date.now() < deadline, 'it did not arrive')
        await sleep(20)
      }
    } finally {
      abort.abort()
      await consuming
      await publisher.close()
    }
  })
}
