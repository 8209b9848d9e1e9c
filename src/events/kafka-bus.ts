/** The bus driver for Kafka. */
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from '@platformatic/kafka'
import type { Logger } from 'pino'
import type { EventConsumer, EventPublisher } from './bus.ts'
import { type ImageEvent, imageEventSchema } from './event.ts'
import { baseOptions, ensureTopic, loadKafka } from './kafka-client.ts'
import { GROUP, type KafkaConfig, TOPIC } from './kafka-config.ts'

/** Longest wait between two tries; a lost minute is not worth a busy loop. */
const MAX_WAIT_MS = 5_000

/** Publishes with acks from all replicas; the Migration's UID as key keeps its events in order. */
export async function createKafkaPublisher(config: KafkaConfig, clientId: string): Promise<EventPublisher> {
  const { Producer, ProduceAcks, stringSerializers } = await loadKafka()
  const producer = new Producer({ ...baseOptions(config, clientId), serializers: stringSerializers })
  let topicIsThere = false
  return {
    async publish(event) {
      if (!topicIsThere) await ensureTopic(config, clientId)
      // Looked for again after a failure: somebody may have deleted it.
      topicIsThere = false
      const messages = [{ topic: TOPIC, key: event.migrationUID, value: JSON.stringify(event) }]
      await producer.send({ messages, acks: ProduceAcks.ALL })
      topicIsThere = true
    },
    close: () => producer.close(),
  }
}

interface ConsumerOptions {
  config: KafkaConfig
  clientId: string
  log: Logger
  /** Tests use their own, so that they do not share offsets. */
  group?: string
}

/** Consumes in one group, committing an offset only after its event was handled. Reconnects for as long as it takes. */
export function createKafkaConsumer({ config, clientId, log, group = GROUP }: ConsumerOptions): EventConsumer {
  return {
    async consume(handler, signal) {
      for (let failures = 0; !signal.aborted; failures++) {
        try {
          await consumeOnce({ config, clientId, group, log, handler, signal, onMessage: () => (failures = 0) })
        } catch (err) {
          if (signal.aborted) return
          log.warn({ err, failures }, 'Kafka is not reachable; trying again')
        }
        await pause(Math.min(250 * 2 ** failures, MAX_WAIT_MS), signal)
      }
    },
  }
}

interface Consumption {
  config: KafkaConfig
  clientId: string
  group: string
  log: Logger
  handler: (event: ImageEvent) => Promise<void>
  signal: AbortSignal
  onMessage: () => void
}

/** One life of a consumer, until its stream breaks or the signal aborts. */
async function consumeOnce({ config, clientId, group, log, handler, signal, onMessage }: Consumption): Promise<void> {
  const { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, stringDeserializers } = await loadKafka()
  const consumer = new Consumer({
    ...baseOptions(config, clientId),
    groupId: group,
    deserializers: stringDeserializers,
    autocommit: false,
    sessionTimeout: 10_000,
    heartbeatInterval: 2_000,
    maxWaitTime: 100,
  })
  const stop = () => void consumer.close(true).catch(() => {})
  signal.addEventListener('abort', stop, { once: true })
  try {
    await ensureTopic(config, clientId)
    const stream = await begun((callback) =>
      consumer.consume(
        {
          topics: [TOPIC],
          mode: MessagesStreamModes.COMMITTED,
          fallbackMode: MessagesStreamFallbackModes.EARLIEST,
        },
        callback,
      ),
    )
    for await (const message of stream) {
      onMessage()
      await handle(message, handler, log, signal)
      await message.commit()
    }
  } finally {
    signal.removeEventListener('abort', stop)
    await consumer.close(true).catch(() => {})
  }
}

/**
 * A stream whose consumer is closed in this very moment fails before anybody who awaits it can listen, and an error that nobody
 * hears ends the process. Whoever iterates hears it all the same.
 */
async function begun<S extends Readable>(
  begin: (callback: (error: Error | null, stream?: S) => void) => void,
): Promise<S> {
  const { promise, resolve, reject } = Promise.withResolvers<S>()
  begin((error, stream) => {
    if (error || !stream) return reject(error ?? new Error('no stream'))
    stream.on('error', () => {})
    resolve(stream)
  })
  return await promise
}

/** Tries until the handler takes the event. A record that is none of ours would block the partition for ever: it is told and skipped. */
async function handle(
  message: Message<string, string, string, string>,
  handler: Consumption['handler'],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const event = imageEventSchema.safeParse(parse(message.value))
  const at = { topic: message.topic, partition: message.partition, offset: String(message.offset) }
  if (!event.success)
    return log.error({ ...at, problem: event.error.message }, 'a record that is no image event is skipped')
  for (let failures = 0; ; failures++) {
    try {
      await handler(event.data)
      return log.info({ ...at, ...event.data }, 'Kafka record consumed')
    } catch (err) {
      signal.throwIfAborted()
      log.warn({ ...at, err, failures }, 'an event was not handled; trying again')
      await pause(Math.min(100 * 2 ** failures, MAX_WAIT_MS), signal)
    }
  }
}

const parse = (text: string | undefined): unknown => {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => {})
