/**
 * The demo: a counter and a redis move from node 1 to node 2 and back, and each move must prove itself.
 * Exits 1 when any proof is missing. MODE=Image or BUS=kafka goes the way through registry and event bus.
 */
import { styleText } from 'node:util'
import type { Migration } from '../src/api/migration.ts'
import { formatDuration } from '../src/api/timestamps.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { kubectl } from './cluster.ts'
import { GATEWAY } from './places.ts'
import { connect } from './scenario/connect.ts'
import { type BusName, deployPodferry, lastKafkaRecord } from './scenario/deploy.ts'
import { eventually } from './scenario/eventually.ts'
import { lastingLeftovers } from './scenario/leftovers.ts'
import { migrate } from './scenario/migrate.ts'
import { barePod, counterPod, removePod, runPod } from './scenario/pods.ts'
import { countedBy, isUnbroken, type Proof, proofsOfMove, redisDigest } from './scenario/proofs.ts'
import { longestHandover, startWitness, violations } from './scenario/witness.ts'

const bus: BusName = process.env.BUS === 'kafka' ? 'kafka' : 'kubernetes'
// The bus carries word of images only.
const mode = process.env.MODE === 'Image' || bus === 'kafka' ? 'Image' : 'Live'
/** 500,000 keys are about half a gibibyte: nothing for Live, many seconds for Image. */
const KEYS = mode === 'Live' ? 500_000 : 100_000
const VALUE_BYTES = mode === 'Live' ? 800 : 64

/** In the order in which they happen. */
const STEPS = [
  ['prepare', 'prepareMs'],
  ['copy files', 'precopyMs'],
  ['dump', 'dumpMs'],
  ['fence', 'fenceMs'],
  ['stage', 'stageMs'],
  ['checkpoint', 'checkpointMs'],
  ['deliver', 'deliverMs'],
  ['commit', 'commitMs'],
  ['restore', 'restoreMs'],
  ['pages', 'pagesMs'],
  ['remove source', 'removeSourceMs'],
] as const

let missing = 0

const heading = (text: string) => console.log(`\n${styleText('bold', text)}`)

function show(proofs: Proof[]): void {
  for (const { sentence, holds } of proofs) {
    if (!holds) missing++
    console.log(`  ${holds ? styleText('green', 'proved ') : styleText('red', 'MISSING')} ${sentence}`)
  }
}

function showSteps({ status }: Migration): void {
  const { steps, downtimeMs = 0, totalMs = 0 } = status?.timings ?? {}
  const durations = STEPS.flatMap(([step, key]) =>
    steps?.[key] === undefined ? [] : [`${step} ${formatDuration(steps[key])}`],
  )
  console.log(`  ${durations.join(', ')}`)
  console.log(`  downtime ${styleText('bold', formatDuration(downtimeMs))}, in all ${formatDuration(totalMs)}`)
}

/** Moves a pod and shows what every move must prove; returns the name of the pod at the destination. */
async function move(client: KubeClient, podName: string, to: string): Promise<string> {
  heading(`${podName} → ${to}, mode ${mode}`)
  const migration = await migrate(client, { podName, destinationNode: to, mode })
  showSteps(migration)
  show(await proofsOfMove(client, migration))
  if (bus === 'kafka') {
    const record = await lastKafkaRecord(migration.metadata.uid)
    show([{ sentence: `Kafka record consumed: ${record ?? 'none'}`, holds: record !== undefined }])
  }
  return migration.status?.destination?.podName ?? podName
}

async function demoCounter(client: KubeClient): Promise<void> {
  const witness = await startWitness(GATEWAY)
  await runPod(client, counterPod({ name: 'counter', node: 'node-1', witness: witness.target }))
  await eventually('the counter counts', async () => witness.reports.length > 50)
  let pod = 'counter'
  for (const node of ['node-2', 'node-1']) {
    pod = await move(client, pod, node)
    const numbers = await countedBy(pod)
    const crimes = violations(witness.reports)
    show([
      {
        sentence: `counter went on by exactly one: ${numbers.length} numbers up to ${numbers.at(-1)}, no gap`,
        holds: isUnbroken(numbers),
      },
      { sentence: `witness: ${crimes[0] ?? 'never two copies, nothing lost or doubled'}`, holds: crimes.length === 0 },
    ])
  }
  console.log(`  silence seen from outside: at most ${formatDuration(longestHandover(witness.reports))}`)
  await removePod(client, 'default', pod)
  await witness.close()
}

async function demoRedis(client: KubeClient): Promise<void> {
  await runPod(client, barePod({ name: 'redis', node: 'node-1', image: 'redis:8' }))
  await eventually('redis answers', async () =>
    (await kubectl(['exec', 'redis', '--', '/usr/bin/redis-cli', 'ping'])).includes('PONG'),
  )
  await kubectl([
    'exec',
    'redis',
    '--',
    '/usr/bin/redis-cli',
    'debug',
    'populate',
    String(KEYS),
    'key',
    String(VALUE_BYTES),
  ])
  const before = await redisDigest('redis')
  let pod = 'redis'
  for (const node of ['node-2', 'node-1']) {
    pod = await move(client, pod, node)
    const after = await redisDigest(pod)
    show([{ sentence: `digest of ${KEYS} keys equal: ${after}`, holds: after === before }])
  }
  await removePod(client, 'default', pod)
}

const client = await connect()
await deployPodferry({ bus })
for (const pod of ['counter', 'redis']) await removePod(client, 'default', pod)
await demoCounter(client)
await demoRedis(client)
heading('afterwards')
const left = await lastingLeftovers(client)
show([{ sentence: left.join('; ') || 'nothing left behind on either node', holds: left.length === 0 }])
client.close()
console.log(missing === 0 ? '\nEvery proof holds.' : `\n${missing} proof(s) missing.`)
process.exit(missing === 0 ? 0 : 1)
