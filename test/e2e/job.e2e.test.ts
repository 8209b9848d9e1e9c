/** Pods of a Job: the Job completes once and counts no failure, whatever becomes of the move. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { kubectl } from '../../lab/cluster.ts'
import { GATEWAY, type NodeName } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry, ready } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { whileRestoresFail } from '../../lab/scenario/failing-restores.ts'
import { jobStatus, podsOfJob, removeJob, runJob } from '../../lab/scenario/jobs.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { barePod, restarts } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { reaches } from '../../lab/scenario/stages.ts'
import { killEverywhere } from '../../lab/scenario/victims.ts'
import { startWitness, violations, violationsOfReturn } from '../../lab/scenario/witness.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import { CANCEL_ANNOTATION } from '../../src/api/names.ts'
import type { Pod } from '../../src/api/pod.ts'
import { MIGRATIONS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient
let witness: Awaited<ReturnType<typeof startWitness>>

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
beforeEach(async () => {
  witness = await startWitness(GATEWAY)
})
after(() => client.close())

/** Counts until it is told to end, and then ends well. One socket a datagram: none is open while it sleeps. */
const WORK = `
import os, socket, sys, time
host, port = sys.argv[1].split(':')
nonce, number = os.urandom(8).hex(), 0
while not os.path.exists('/end'):
    number += 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(f'{nonce} {number} {os.getpid()}'.encode(), (host, int(port)))
    time.sleep(0.02)
`

async function work(name: string): Promise<Pod> {
  const command = ['/usr/bin/python3', '-c', WORK, witness.target]
  const pod = await runJob(client, name, barePod({ name, node: '', image: 'python:3', command }).spec)
  await eventually('it counts', async () => witness.reports.length > 20)
  return pod
}

const otherThan = (pod: Pod): NodeName => (pod.spec.nodeName === 'node-1' ? 'node-2' : 'node-1')

/** The one pod of the Job goes on; told to end, it completes the Job, which has counted nothing else. */
async function assertCompletesOnce(name: string, podName: string, judge = violations): Promise<void> {
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 20)
  const [pod, ...others] = await podsOfJob(client, name)
  assert.ok(pod && others.length === 0, `${name} has ${others.length + 1} pods`)
  assert.deepEqual([pod.metadata.name, restarts(pod)], [podName, 0])
  assert.equal(pod.metadata.ownerReferences?.[0]?.name, name)
  assert.deepEqual(pod.metadata.finalizers, ['batch.kubernetes.io/job-tracking'])
  await kubectl(['exec', podName, '--', '/usr/bin/python3', '-c', "open('/end', 'w')"])
  await eventually('the Job is complete', async () => (await jobStatus(client, name)).succeeded === 1)
  const { failed = 0, conditions = [] } = await jobStatus(client, name)
  assert.deepEqual([failed, conditions.some(({ type }) => type === 'Failed')], [0, false])
  assert.deepEqual(judge(witness.reports), [])
  await removeJob(client, name)
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
}

async function assertMoved(migration: Migration): Promise<string> {
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  assert.equal(migration.status?.mode, 'Live')
  return migration.status?.destination?.podName ?? ''
}

test('a Job with backoffLimit 0 moves there and back, and completes once', async () => {
  const first = await work('trip')
  const there = await migrate(client, { podName: first.metadata.name, destinationNode: otherThan(first) })
  const second = await assertMoved(there)
  const destinationNode = first.spec.nodeName ?? ''
  const last = await assertMoved(await migrate(client, { podName: second, destinationNode }))
  await assertCompletesOnce('trip', last)
  await noteSeen({
    ...{ kind: 'feature', what: 'pod of a Job with backoffLimit 0', result: 'moves' },
    checked: 'no gap, no repeat; the Job completes once and has counted no failure',
    downtimesMs: [there.status?.timings?.downtimeMs ?? Number.NaN],
  })
})

test('a Job that would be complete without the pod is refused', async () => {
  const { spec } = barePod({ name: 'queue', node: '', image: 'counter:1', command: ['/counter', '1000'] })
  const pod = await runJob(client, 'queue', spec, { parallelism: 1 })
  const { status } = await migrate(client, { podName: pod.metadata.name, destinationNode: otherThan(pod) })
  assert.equal(status?.failure?.reason, 'OwnerNotSupported')
  assert.match(status.failure.message, /set spec.completions/)
  await removeJob(client, 'queue')
  await witness.close()
})

test('a move that is cancelled gives the pod back to its Job', async () => {
  const pod = await work('turn')
  const { name } = pod.metadata
  const started = await startMigration(client, { podName: name, destinationNode: otherThan(pod) })
  await reaches(client, started, 'DestinationReady')
  const body = { metadata: { annotations: { [CANCEL_ANNOTATION]: 'test' } } }
  await client.patch(MIGRATIONS, 'default', started.metadata.name, { type: 'merge', body })
  const { status } = await finished(client, started)
  // The agent may have been quicker.
  const end = condition(status, 'Succeeded')
  console.log(end?.message)
  await assertCompletesOnce('turn', end?.status === 'True' ? (status?.destination?.podName ?? '') : name)
})

test('a restore that fails is no failure of the Job', async () => {
  const pod = await work('fall')
  const { name } = pod.metadata
  const destination = otherThan(pod)
  const { result, refused } = await whileRestoresFail(destination, 'main', () =>
    migrate(client, { podName: name, destinationNode: destination }),
  )
  const { status } = result
  assert.ok(refused > 0, JSON.stringify(status?.failure))
  assert.equal(condition(status, 'Succeeded')?.reason, 'RolledBack')
  await assertCompletesOnce('fall', name, violationsOfReturn)
})

test('the controller killed while the pod is nobody’s: the Job makes no other', async () => {
  const pod = await work('gap')
  const started = await startMigration(client, {
    podName: pod.metadata.name,
    destinationNode: otherThan(pod),
  })
  await reaches(client, started, 'Committed')
  assert.ok((await killEverywhere('controller')) > 0)
  const migration = await finished(client, started)
  await ready()
  await assertCompletesOnce('gap', await assertMoved(migration))
})
