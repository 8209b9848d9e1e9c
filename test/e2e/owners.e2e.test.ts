/** Pods of a Deployment: the ReplicaSet itself makes the destination, and always has its replicas. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kubectl, node } from '../../lab/cluster.ts'
import { GATEWAY, type NodeName } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import {
  faultsOf,
  removeDeployment,
  runDeployment,
  startCensus,
  violationsByProgram,
} from '../../lab/scenario/deployments.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { counterPod, podOrUndefined, removePod } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { reaches } from '../../lab/scenario/stages.ts'
import { startWitness } from '../../lab/scenario/witness.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import { CANCEL_ANNOTATION, DELETION_COST_ANNOTATION, KUBERNETES_DELETION_COST } from '../../src/api/names.ts'
import { PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const REPLICAS = 3

let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

async function assertMoved(migration: Migration): Promise<void> {
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  assert.equal(migration.status?.mode, 'Live')
}

/** Runs a Deployment of counters under a witness and a census, and asserts that no program was lost, doubled or begun afresh. */
async function underLoad(name: string, act: (pods: string[]) => Promise<{ atOnce: number }>): Promise<void> {
  const witness = await startWitness(GATEWAY)
  const pods = await runDeployment(client, { name, replicas: REPLICAS, witness: witness.target })
  const programs = () => violationsByProgram(witness.reports)
  await eventually('all of them count', async () => programs().size === REPLICAS && witness.reports.length > 100)
  const census = startCensus(client, name)
  const { atOnce } = await act(pods)
  const seen = witness.reports.length
  await eventually('they count on', async () => witness.reports.length > seen + 100)
  await eventually(
    'the owner has its replicas',
    async () => (await faultsOf(client, name, REPLICAS)).length === 0,
    10_000,
  )
  const { fewest, most, looks } = await census.stop()
  console.log(`${name}: ${fewest} to ${most} pods in ${looks} looks`)
  assert.ok(fewest >= REPLICAS, `only ${fewest} pods at a time`)
  assert.ok(most <= REPLICAS + atOnce, `${most} pods at a time`)
  assert.deepEqual([...programs().values()].flat(), [])
  assert.equal(programs().size, REPLICAS, 'no program began afresh')
  await removeDeployment(client, name)
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
}

/** The node where a pod is not. */
async function otherNode(name: string): Promise<NodeName> {
  const pod = await podOrUndefined(client, 'default', name)
  return pod?.spec.nodeName === 'node-1' ? 'node-2' : 'node-1'
}

test('one pod of a Deployment moves, and moves on', () =>
  underLoad('web-one', async ([first = '']) => {
    const there = await migrate(client, { podName: first, destinationNode: await otherNode(first) })
    await assertMoved(there)
    const moved = there.status?.destination?.podName ?? ''
    await assertMoved(await migrate(client, { podName: moved, destinationNode: await otherNode(moved) }))
    return { atOnce: 1 }
  }))

test('all three move at once', () =>
  underLoad('web-all', async (pods) => {
    const started = pods.map(async (podName) =>
      startMigration(client, { podName, destinationNode: await otherNode(podName) }),
    )
    const ended = await Promise.all(started.map(async (migration) => finished(client, await migration)))
    for (const migration of ended) await assertMoved(migration)
    return { atOnce: REPLICAS }
  }))

test('a rollback hands the pod back to its ReplicaSet', () =>
  underLoad('web-back', async ([first = '']) => {
    const before = await client.get(PODS, 'default', first)
    const destinationNode = await otherNode(first)
    // Images crawl, so that there is time to cancel.
    await node(destinationNode).slow('1mbit')
    try {
      const started = await startMigration(client, { podName: first, destinationNode })
      await reaches(client, started, 'Checkpointed')
      await kubectl(['annotate', 'mig', started.metadata.name, `${CANCEL_ANNOTATION}=test`])
      const { status } = await finished(client, started)
      assert.equal(condition(status, 'Succeeded')?.reason, 'RolledBack')
      assert.equal(status?.failure?.reason, 'Cancelled')
    } finally {
      await node(destinationNode).slow(undefined)
    }
    const { metadata } = await client.get(PODS, 'default', first)
    assert.equal(metadata.uid, before.metadata.uid)
    assert.deepEqual(metadata.labels, before.metadata.labels)
    assert.deepEqual(
      metadata.ownerReferences?.map(({ uid }) => uid),
      before.metadata.ownerReferences?.map(({ uid }) => uid),
    )
    for (const mark of [DELETION_COST_ANNOTATION, KUBERNETES_DELETION_COST])
      assert.equal(metadata.annotations?.[mark], undefined, mark)
    return { atOnce: 1 }
  }))

/** Where the webhook's Service leads while it is "down": an address that nobody has, so that a call hangs rather than fails. */
const HOLE = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: 'podferry-webhook-hole',
    namespace: 'podferry-system',
    labels: { 'kubernetes.io/service-name': 'podferry-webhook' },
  },
  addressType: 'IPv4',
  ports: [{ port: 9443, protocol: 'TCP' }],
  endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready: true } }],
}

async function withWebhookDown(act: () => Promise<void>): Promise<void> {
  const select = (component: string) =>
    kubectl([
      ...['-n', 'podferry-system', 'patch', 'service', 'podferry-webhook', '--type=merge', '-p'],
      JSON.stringify({ spec: { selector: { 'app.kubernetes.io/component': component } } }),
    ])
  await select('nobody')
  await kubectl(['create', '-f', '-'], { input: JSON.stringify(HOLE) })
  try {
    await act()
  } finally {
    await kubectl(['-n', 'podferry-system', 'delete', 'endpointslice', HOLE.metadata.name])
    await select('controller')
  }
}

test('while the webhook is down the move is refused, nothing is touched, and other pods are made as always', () =>
  underLoad('web-down', async ([first = '']) => {
    const before = await client.get(PODS, 'default', first)
    await withWebhookDown(async () => {
      const refused = migrate(client, { podName: first, destinationNode: await otherNode(first) })
      const took: number[] = []
      for (let i = 0; i < 5; i++) {
        const at = performance.now()
        await client.create(PODS, counterPod({ name: `ordinary-${i}`, node: 'node-1' }))
        took.push(performance.now() - at)
      }
      for (let i = 0; i < 5; i++) await removePod(client, 'default', `ordinary-${i}`)
      console.log(`ordinary pods created in ${took.map(Math.round).join(', ')} ms`)
      assert.ok(Math.max(...took) < 1000, `creating a pod took ${Math.max(...took)} ms`)
      const { status } = await refused
      assert.equal(status?.failure?.reason, 'WebhookUnreachable')
      assert.equal(condition(status, 'Accepted')?.status, 'False')
      assert.equal(status?.timings?.frozenAt, undefined)
    })
    const { metadata } = await client.get(PODS, 'default', first)
    assert.deepEqual(metadata.labels, before.metadata.labels)
    const again = async () => {
      const { status } = await migrate(client, { podName: first, destinationNode: await otherNode(first) })
      return condition(status, 'Succeeded')?.status === 'True'
    }
    await eventually('it moves once the webhook is back', again, 60_000)
    return { atOnce: 1 }
  }))
