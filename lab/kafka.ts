/** A real Kafka broker (KRaft, one node), in the lab's network or on the loopback for component tests. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readIfThere, sleep, writeWhole } from './files.ts'
import { freePort } from './free-port.ts'
import { LabError } from './lab-error.ts'
import { CONTROL_PLANE, GATEWAY, netnsPath, STATE } from './places.ts'
import { identityOf, isAlive, killHard, type ProcessIdentity } from './processes.ts'
import { run } from './run.ts'
import { fetchKafka, kafkaClassPath } from './setup/kafka-jars.ts'

export interface KafkaOptions {
  host: string
  /** 0 or undefined: a free port. */
  port?: number
  /** Path of the network namespace to listen in; undefined: the caller's. */
  netns?: string
}

export interface Kafka {
  /** `host:port` for clients. */
  bootstrap: string
  /** `kill -9`, and a start on the same data. */
  restart: () => Promise<void>
  stop: () => Promise<void>
}

const LAB_FOLDER = join(STATE, 'kafka')
const LAB_PORT = 9092

/** Small and quick to start: a test broker holds a few kilobytes. */
const JAVA_OPTIONS = ['-Xms64m', '-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']

/** @returns the broker's settings; the controller's port is the loopback's in any case. */
export function brokerProperties(folder: string, bootstrap: string, controllerPort: number): string {
  const controller = `127.0.0.1:${controllerPort}`
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@${controller}
listeners=PLAINTEXT://${bootstrap},CONTROLLER://${controller}
advertised.listeners=PLAINTEXT://${bootstrap}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=${folder}/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`
}

/**
 * Starts a broker that lives until `stop` (for tests; its files are temporary).
 * @throws LabError with the end of its log when it does not start.
 */
export async function startKafka(options: KafkaOptions): Promise<Kafka> {
  await fetchKafka()
  const folder = await mkdtemp(join(tmpdir(), 'podferry-kafka-'))
  const port = options.port || (await freePort())
  const bootstrap = `${options.host}:${port}`
  try {
    let broker = await launch(folder, bootstrap, options.netns)
    const restart = async () => {
      await kill(broker)
      broker = await start(folder, options.netns)
    }
    return { bootstrap, restart, stop: () => end(broker, folder) }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Starts the lab's broker, which outlives this process. One that runs is left alone. @returns its `host:port`. */
export async function startLabKafka(): Promise<string> {
  const bootstrap = `${GATEWAY}:${LAB_PORT}`
  if ((await labBroker()) !== undefined) return bootstrap
  await fetchKafka()
  await rm(LAB_FOLDER, { recursive: true, force: true })
  await mkdir(LAB_FOLDER, { recursive: true })
  const broker = await launch(LAB_FOLDER, bootstrap, netnsPath(CONTROL_PLANE))
  await writeWhole(join(LAB_FOLDER, 'process.json'), JSON.stringify(broker))
  return bootstrap
}

export async function stopLabKafka(): Promise<void> {
  const broker = await labBroker()
  if (broker !== undefined) await end(broker, LAB_FOLDER)
}

/** `kill -9` of the lab's broker and a start on the same data, as its supervisor would do. */
export async function restartLabKafka(): Promise<void> {
  const broker = await labBroker()
  if (broker !== undefined) await kill(broker)
  const started = await start(LAB_FOLDER, netnsPath(CONTROL_PLANE))
  await writeWhole(join(LAB_FOLDER, 'process.json'), JSON.stringify(started))
}

async function labBroker(): Promise<ProcessIdentity | undefined> {
  const text = await readIfThere(join(LAB_FOLDER, 'process.json'))
  if (text === undefined) return undefined
  const identity = JSON.parse(text) as ProcessIdentity
  return (await isAlive(identity)) ? identity : undefined
}

async function launch(folder: string, bootstrap: string, netns: string | undefined): Promise<ProcessIdentity> {
  const settings = settingsOf(folder)
  await writeWhole(settings, brokerProperties(folder, bootstrap, await freePort()))
  // With its name and a sign: one in sixty-four begins with a dash.
  const id = randomBytes(16).toString('base64url')
  await run([...java(), 'kafka.tools.StorageTool', 'format', `--cluster-id=${id}`, '-c', settings])
  return start(folder, netns)
}

const settingsOf = (folder: string) => join(folder, 'broker.properties')
const java = () => ['java', ...JAVA_OPTIONS, '-cp', kafkaClassPath()]

/** Runs a broker on a formatted folder. */
async function start(folder: string, netns: string | undefined): Promise<ProcessIdentity> {
  const entering = netns === undefined ? [] : ['nsenter', `--net=${netns}`, '--']
  const argv = [...entering, ...java(), 'kafka.Kafka', settingsOf(folder)]
  const logPath = join(folder, 'broker.log')
  // What an earlier life logged must not be taken for this one's start.
  const log = openSync(logPath, 'w')
  const [command = '', ...args] = argv
  const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  child.unref()
  const failure = new Promise<never>((_, reject) => {
    child.on('error', (cause) => reject(new LabError(`cannot run ${command}: ${cause.message}`, { cause })))
    child.on('exit', async (code) => {
      reject(new LabError(`Kafka ended with exit code ${code}: ${complaints((await readIfThere(logPath)) ?? '')}`))
    })
  })
  // It may also end later, when it is stopped.
  failure.catch(() => {})
  await Promise.race([awaitStarted(logPath), failure])
  const identity = child.pid === undefined ? undefined : await identityOf(child.pid)
  if (identity === undefined) throw new LabError('Kafka ended right after its start')
  return { pid: identity.pid, startTime: identity.startTime }
}

/** @returns the log's errors and exceptions; without any, its end. */
export function complaints(log: string): string {
  const lines = log.trim().split('\n')
  const errors = lines.filter((line) => / (ERROR|FATAL) |Exception/.test(line))
  return (errors.length > 0 ? errors.slice(0, 8) : lines.slice(-8)).join('\n')
}

async function awaitStarted(logPath: string): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await readIfThere(logPath))?.includes('Kafka Server started')) {
    if (Date.now() > deadline) throw new LabError(`Kafka did not start in 60 s: see ${logPath}`)
    await sleep(100)
  }
}

async function kill(broker: ProcessIdentity): Promise<void> {
  if (await isAlive(broker)) killHard(broker.pid)
  while (await isAlive(broker)) await sleep(20)
}

async function end(broker: ProcessIdentity, folder: string): Promise<void> {
  await kill(broker)
  await rm(folder, { recursive: true, force: true })
}
