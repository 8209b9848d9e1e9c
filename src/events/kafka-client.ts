/** What publisher and consumer share: how the client is loaded and connected, and the topic. */
import type { BaseOptions, GenericError } from '@platformatic/kafka'
import { PodferryError } from '../errors.ts'
import { type KafkaConfig, TOPIC } from './kafka-config.ts'

/** Enough for a controller and a few readers; one Migration's events stay in one of them. */
const PARTITIONS = 3
/** Lets the broker decide (its `default.replication.factor`). */
const BROKER_DEFAULT = -1

/** Loaded only when Kafka is chosen: it costs 60 MB. */
export const loadKafka = () => import('@platformatic/kafka')

export const baseOptions = (config: KafkaConfig, clientId: string): BaseOptions => ({
  clientId,
  bootstrapBrokers: config.brokers,
  connectTimeout: 3_000,
  timeout: 5_000,
  retries: 2,
  retryDelay: 200,
  // Brokers of operators often have this off: ensureTopic makes the topic instead.
  autocreateTopics: false,
  ...(config.tls ? { tls: config.tls } : {}),
  ...(config.sasl ? { sasl: config.sasl } : {}),
})

/**
 * Makes the topic when it lacks and the settings allow it.
 *
 * @throws PodferryError `KafkaTopicMissing` when the topic may not or can't be made; the client's own error for no connection
 */
export async function ensureTopic(config: KafkaConfig, clientId: string): Promise<void> {
  const { Admin } = await loadKafka()
  const admin = new Admin(baseOptions(config, clientId))
  try {
    if ((await admin.listTopics()).includes(TOPIC)) return
    if (config.createTopic === false) throw missing('it may not be made, as PODFERRY_KAFKA_CREATE_TOPIC is false')
    await admin
      .createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas: BROKER_DEFAULT })
      .catch((cause: GenericError) => {
        // Publishers and consumers of all nodes start at one moment.
        if (!cause.findBy('apiId', 'TOPIC_ALREADY_EXISTS')) throw missing(`it can't be made: ${words(cause)}`, cause)
      })
  } finally {
    await admin.close()
  }
}

const missing = (why: string, cause?: unknown) =>
  new PodferryError({
    reason: 'KafkaTopicMissing',
    message: `topic ${TOPIC} is missing, and ${why}; make it, or give the user of PODFERRY_KAFKA_USERNAME the right to`,
    retry: 'backoff',
    cause,
  })

/** The client wraps what the broker said into several layers of its own words. */
function words(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(words).join('; ')
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : words(error.cause)
}
