/** A real broker as Strimzi sets one up: TLS with client certificates asked for, SASL, and no topic that nobody has made. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../../../lab/free-port.ts'
import { fetchKafka, kafkaClassPath } from '../../../lab/setup/kafka-jars.ts'

const run = promisify(execFile)

const JAVA_OPTIONS = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
const START_MS = 60_000

export interface SecureKafka {
  /** `127.0.0.1:port`: SASL over TLS. */
  sasl: string
  /** `127.0.0.1:port`: TLS that asks for a client certificate. */
  mutual: string
  /** PEM files: the CA, and a client's certificate and key. */
  ca: string
  cert: string
  key: string
  stop(): Promise<void>
}

/** @param user who may log in by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 */
export async function startSecureKafka(user: { name: string; password: string }): Promise<SecureKafka> {
  await fetchKafka()
  const folder = await mkdtemp(join(tmpdir(), 'podferry-kafka-'))
  await makeCertificates(folder)
  const [sasl, mutual, controller] = [await freePort(), await freePort(), await freePort()]
  const settings = join(folder, 'broker.properties')
  await writeFile(settings, properties({ folder, sasl, mutual, controller, user }), { mode: 0o600 })
  const java = [...JAVA_OPTIONS, '-cp', kafkaClassPath()]
  const scram = ['256', '512'].flatMap((bits) => [
    '--add-scram',
    `SCRAM-SHA-${bits}=[name=${user.name},password=${user.password}]`,
  ])
  await run('java', [
    ...java,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    'AAAAAAAAAAAAAAAAAAAAAQ',
    '-c',
    settings,
    ...scram,
  ])
  const child = spawn('java', [...java, 'kafka.Kafka', settings], { stdio: ['ignore', 'ignore', 'pipe'] })
  const stop = async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await started(child.stderr)
  } catch (error) {
    await stop()
    throw error
  }
  const [ca, cert, key] = ['ca.crt', 'client.crt', 'client.key'].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ]
  return { sasl: `127.0.0.1:${sasl}`, mutual: `127.0.0.1:${mutual}`, ca, cert, key, stop }
}

async function started(log: AsyncIterable<Buffer> & NodeJS.ReadableStream): Promise<void> {
  let said = ''
  const up = new Promise<void>((resolve, reject) => {
    log.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-4000)
      if (said.includes('Kafka Server started')) resolve()
    })
    log.on('end', () => reject(new Error(`Kafka ended: ${said}`)))
  })
  const late = new AbortController()
  try {
    await Promise.race([
      up,
      sleep(START_MS, undefined, { signal: late.signal }).then(() => Promise.reject(new Error(said))),
    ])
  } finally {
    late.abort()
  }
}

async function makeCertificates(folder: string): Promise<void> {
  const at = (file: string) => join(folder, file)
  const openssl = (...args: string[]) => run('openssl', args)
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await openssl('req', '-x509', ...ec, '-subj', '/CN=ca', '-days', '2', '-keyout', at('ca.key'), '-out', at('ca.crt'))
  for (const name of ['broker', 'client']) {
    await openssl('req', ...ec, '-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`))
    await writeFile(at(`${name}.ext`), 'subjectAltName=IP:127.0.0.1')
    const by = [
      '-CA',
      at('ca.crt'),
      '-CAkey',
      at('ca.key'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      at(`${name}.ext`),
    ]
    await openssl('x509', '-req', '-in', at(`${name}.csr`), ...by, '-out', at(`${name}.crt`))
  }
  const [key, certificate] = await Promise.all([readFile(at('broker.key')), readFile(at('broker.crt'))])
  await writeFile(at('broker.pem'), Buffer.concat([key, certificate]), { mode: 0o600 })
}

interface Properties {
  folder: string
  sasl: number
  mutual: number
  controller: number
  user: { name: string; password: string }
}

function properties({ folder, sasl, mutual, controller, user }: Properties): string {
  const module = (name: string, rest = '') => `org.apache.kafka.common.security.${name}LoginModule required${rest};`
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controller}
listeners=SASL://127.0.0.1:${sasl},MUTUAL://127.0.0.1:${mutual},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=SASL://127.0.0.1:${sasl},MUTUAL://127.0.0.1:${mutual}
controller.listener.names=CONTROLLER
inter.broker.listener.name=MUTUAL
listener.security.protocol.map=SASL:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=${folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=${folder}/ca.crt
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=${module('plain.Plain', ` user_${user.name}="${user.password}"`)}
listener.name.sasl.scram-sha-256.sasl.jaas.config=${module('scram.Scram')}
listener.name.sasl.scram-sha-512.sasl.jaas.config=${module('scram.Scram')}
auto.create.topics.enable=false
log.dirs=${folder}/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`
}
