/** How to reach Kafka, from the environment. Secrets come from files: the environment and argv are readable by others. */
import { readFileSync } from 'node:fs'
import { PodferryError } from '../errors.ts'

export const TOPIC = 'podferry.image-events'
export const GROUP = 'podferry-controller'

const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

export interface KafkaConfig {
  brokers: string[]
  tls?: { ca?: string; cert?: string; key?: string }
  /** Whether podferry may make its topic when it lacks. Default true. */
  createTopic?: boolean
  sasl?: { mechanism: (typeof MECHANISMS)[number]; username: string; password: string }
}

const invalid = (setting: string, problem: string) =>
  new PodferryError({ reason: 'InvalidSetting', message: `${setting}: ${problem}`, retry: 'afterChange' })

/**
 * Reads PODFERRY_KAFKA_BROKERS (host:port, comma separated), _TLS (true or false), _CA_FILE, _CERT_FILE, _KEY_FILE, _SASL_MECHANISM,
 * _USERNAME and _PASSWORD_FILE, as Strimzi's users have them, and _CREATE_TOPIC (true or false).
 *
 * @throws PodferryError `InvalidSetting` naming the variable and what it should hold
 */
export function kafkaConfig(
  env: Readonly<Record<string, string | undefined>>,
  read = (path: string) => readFileSync(path, 'utf8'),
): KafkaConfig {
  const setting = (name: string) => env[`PODFERRY_KAFKA_${name}`] || undefined
  const file = (name: string) => {
    const path = setting(name)
    if (path === undefined) return undefined
    try {
      return read(path)
    } catch (error) {
      throw invalid(
        `PODFERRY_KAFKA_${name}`,
        `${path} can't be read (${error instanceof Error ? error.message : error})`,
      )
    }
  }
  const brokers = (setting('BROKERS') ?? '')
    .split(',')
    .map((broker) => broker.trim())
    .filter(Boolean)
  const wrong = brokers.find((broker) => !/^[^\s:]+:\d{1,5}$/.test(broker))
  if (wrong !== undefined) throw invalid('PODFERRY_KAFKA_BROKERS', `${wrong} is not host:port`)
  if (brokers.length === 0)
    throw invalid('PODFERRY_KAFKA_BROKERS', 'is not set; give host:port of one or more brokers, separated by commas')

  const [ca, cert, key] = [file('CA_FILE'), file('CERT_FILE'), file('KEY_FILE')]
  const wantsTls = truth('TLS', setting)
  if (wantsTls === false && (ca || cert || key))
    throw invalid('PODFERRY_KAFKA_TLS', 'is false, but a file for TLS is named; unset one of them')
  const tls =
    wantsTls || ca || cert || key
      ? { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) }
      : undefined
  if (tls && Boolean(cert) !== Boolean(key))
    throw invalid('PODFERRY_KAFKA_KEY_FILE', 'a client certificate needs both CERT_FILE and KEY_FILE')
  const createTopic = truth('CREATE_TOPIC', setting) === false ? { createTopic: false } : {}
  return { brokers, ...createTopic, ...(tls ? { tls } : {}), ...saslOf(setting, file) }
}

/** A `yes` that were taken for no would send everything in clear text. */
function truth(name: string, setting: (name: string) => string | undefined): boolean | undefined {
  const value = setting(name)
  if (value === undefined || value === 'true' || value === 'false')
    return value === undefined ? undefined : value === 'true'
  throw invalid(`PODFERRY_KAFKA_${name}`, `${value} is neither true nor false`)
}

function saslOf(
  setting: (name: string) => string | undefined,
  file: (name: string) => string | undefined,
): Pick<KafkaConfig, 'sasl'> {
  const wanted = setting('SASL_MECHANISM')
  if (wanted === undefined) return {}
  const mechanism = MECHANISMS.find((candidate) => candidate === wanted)
  if (!mechanism) throw invalid('PODFERRY_KAFKA_SASL_MECHANISM', `${wanted} is not one of ${MECHANISMS.join(', ')}`)
  const [username, password] = [setting('USERNAME'), file('PASSWORD_FILE')?.trim()]
  if (!username) throw invalid('PODFERRY_KAFKA_USERNAME', `is not set, but ${mechanism} needs it`)
  if (!password) throw invalid('PODFERRY_KAFKA_PASSWORD_FILE', `is not set or empty, but ${mechanism} needs it`)
  return { sasl: { mechanism, username, password } }
}
