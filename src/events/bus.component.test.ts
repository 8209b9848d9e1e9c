/** One contract for both drivers: what is published is handled, at least once, in order for one Migration. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '@platformatic/kafka'
import pino from 'pino'
import { type Kafka, startKafka } from '../../lab/kafka.ts'
import { until } from '../kube/testing/until.ts'
import type { EventPublisher } from './bus.ts'
import type { ImageEvent } from './event.ts'
import { createKafkaConsumer, createKafkaPublisher } from './kafka-bus.ts'
import { TOPIC } from './kafka-config.ts'
import { createKubernetesPublisher } from './kubernetes-bus.ts'

const log = pino({ level: 'silent' })

const anEvent = (container = 'main', migrationUID: string = randomUUID()): ImageEvent => ({
  namespace: 'default',
  migrationUID,
  container,
  digest: `sha256:${'a'.repeat(64)}`,
  node: 'node-2',
  at: '2026-01-01T00:00:00Z',
})

interface Line {
  publisher: EventPublisher
  end(): Promise<void>
}
type Open = (handler: (event: ImageEvent) => Promise<void>, group?: string) => Promise<Line>

/** Publishes as the registry makes it do: again until it is taken. */
async function publish({ publisher }: Line, event: ImageEvent): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await publisher.publish(event)
    } catch (error) {
      if (tries > 50) throw error
      await sleep(200)
    }
  }
}

function contract(open: Open): void {
  test('what is published is handled, with all its members', async () => {
    const handled: ImageEvent[] = []
    const line = await open(async (event) => void handled.push(event))
    const event = anEvent()
    await publish(line, event)
    await until('it is handled', () => handled.some((each) => each.migrationUID === event.migrationUID), 60_000)
    assert.deepEqual(
      handled.find((each) => each.migrationUID === event.migrationUID),
      event,
    )
    await line.end()
  })

  test('an event whose handler fails comes again', async () => {
    let failures = 2
    const handled: string[] = []
    const event = anEvent()
    const line = await open(async (each) => {
      if (each.migrationUID !== event.migrationUID) return
      if (failures-- > 0) throw new Error('the API server is away')
      handled.push(each.container)
    })
    await publish(line, event)
    await until('it is handled', () => handled.length > 0, 60_000)
    assert.deepEqual(handled, ['main'])
    await line.end()
  })

  test('events of one Migration come in order', async () => {
    const uid = randomUUID()
    const handled: string[] = []
    const line = await open(async (event) => void (event.migrationUID === uid && handled.push(event.container)))
    const containers = Array.from({ length: 20 }, (_, i) => `c${i}`)
    for (const container of containers) await publish(line, anEvent(container, uid))
    await until('all are handled', () => handled.length >= containers.length, 60_000)
    assert.deepEqual([...new Set(handled)], containers)
    await line.end()
  })
}

describe('driver kubernetes', () =>
  contract(async (handler) => ({ publisher: createKubernetesPublisher(handler), end: async () => {} })))

describe('driver kafka, on a real broker', () => {
  let kafka: Kafka

  before(async () => {
    kafka = await startKafka({ host: '127.0.0.1' })
  })
  after(() => kafka.stop())

  const open: Open = async (handler, group = `test-${randomUUID()}`) => {
    const config = { brokers: [kafka.bootstrap] }
    const abort = new AbortController()
    const publisher = await createKafkaPublisher(config, 'test-publisher')
    const consumer = createKafkaConsumer({ config, clientId: 'test-consumer', log, group })
    const consuming = consumer.consume(handler, abort.signal)
    return {
      publisher,
      async end() {
        abort.abort()
        await consuming
        await publisher.close()
      },
    }
  }

  contract(open)

  test('a broker that is killed and comes back delays, and loses nothing', async () => {
    const handled: string[] = []
    const line = await open(async (event) => void handled.push(event.migrationUID))
    const [first, second] = [anEvent(), anEvent()]
    await publish(line, first)
    await kafka.restart()
    await publish(line, second)
    await until(
      'both are handled',
      () => [first, second].every(({ migrationUID }) => handled.includes(migrationUID)),
      60_000,
    )
    await line.end()
  })

  test('records that the broker dropped before they were read do not hold up the next', async () => {
    const handled: string[] = []
    const group = `test-${randomUUID()}`
    const handler = async ({ container }: ImageEvent) => void handled.push(container)
    const first = await open(handler, group)
    await publish(first, anEvent('read'))
    await until('it is read', () => handled.includes('read'), 60_000)
    // Its offset is committed right after: the next life must start at one that the broker no longer has.
    await sleep(300)
    await first.end()
    const publisher = await createKafkaPublisher({ brokers: [kafka.bootstrap] }, 'test-publisher')
    await publisher.publish(anEvent('dropped'))
    await publisher.close()
    await dropAll()
    const second = await open(handler, group)
    await publish(second, anEvent('next'))
    await until('the next is handled', () => handled.includes('next'), 60_000)
    assert.ok(!handled.includes('dropped'))
    await second.end()
  })

  test('closing while events are under way settles each: taken, or told again', async () => {
    const line = await open(async () => {})
    await publish(line, anEvent())
    const underWay = Promise.allSettled(Array.from({ length: 20 }, () => line.publisher.publish(anEvent())))
    await line.end()
    assert.equal((await underWay).length, 20)
  })

  /** What retention does to a topic that nobody reads for too long. */
  async function dropAll(): Promise<void> {
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrap] })
    const count = (await admin.metadata({ topics: [TOPIC] })).topics.get(TOPIC)?.partitionsCount ?? 0
    const partitions = Array.from({ length: count }, (_, partition) => ({ partition, offset: -1n }))
    await admin.deleteRecords({ topics: [{ name: TOPIC, partitions }] })
    await admin.close()
  }

  test('a record that is no event is skipped', async () => {
    const handled: string[] = []
    const line = await open(async (event) => void handled.push(event.migrationUID))
    const good = anEvent()
    await line.publisher.publish({ ...anEvent(), digest: '../../etc' })
    await publish(line, good)
    await until('the good one is handled', () => handled.includes(good.migrationUID), 60_000)
    await line.end()
  })
})
