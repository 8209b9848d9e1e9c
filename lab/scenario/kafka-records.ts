/** What went over the broker, read by a consumer of its own that commits nothing. */
import { randomUUID } from 'node:crypto'
import { TOPIC } from '../../src/events/kafka-config.ts'

/** Nothing is awaited: the records are there. This long only where the broker does not answer. */
const READ_MS = 15_000

/**
 * The caller must be in a network that reaches the broker.
 *
 * @param broker host:port
 * @returns the last record about a Migration as `topic/partition@offset value`, or undefined when there is none
 */
export async function lastRecord(broker: string, migrationUID: string): Promise<string | undefined> {
  const { Consumer, ListOffsetTimestamps, MessagesStreamModes, stringDeserializers } = await import(
    '@platformatic/kafka'
  )
  const consumer = new Consumer({
    clientId: 'podferry-lab',
    groupId: `podferry-lab-${randomUUID()}`,
    bootstrapBrokers: [broker],
    deserializers: stringDeserializers,
    autocommit: false,
    autocreateTopics: true,
    maxWaitTime: 100,
  })
  const timer = setTimeout(() => void consumer.close(true), READ_MS)
  try {
    const ends = await consumer.listOffsets({ topics: [TOPIC], timestamp: ListOffsetTimestamps.LATEST })
    let unread = (ends.get(TOPIC) ?? []).reduce((sum, end) => sum + end, 0n)
    if (unread === 0n) return undefined
    const stream = await consumer.consume({ topics: [TOPIC], mode: MessagesStreamModes.EARLIEST })
    let last: string | undefined
    for await (const { key, value, topic, partition, offset } of stream) {
      if (key === migrationUID) last = `${topic}/${partition}@${offset} ${value}`
      unread -= 1n
      if (unread <= 0n) break
    }
    return last
  } finally {
    clearTimeout(timer)
    await consumer.close(true)
  }
}
