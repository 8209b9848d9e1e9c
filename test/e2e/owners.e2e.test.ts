/** Pods of a Deployment: the ReplicaSet itself makes the destination, and always has its replicas. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { kubectl, node } from '../../lab/cluster.ts'
import { CHECKOUT, GATEWAY, KUBECONFIG, NODES, type NodeName } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import {
  faultsOf,
  podsOf,
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
import { AGENT_PORT } from '../../src/agent/peer/names.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import { CANCEL_ANNOTATION, DELETION_COST_ANNOTATION, KUBERNETES_DELETION_COST } from '../../src/api/names.ts'
import { PODS } from '../../src/api/resources.ts'
import { ADMISSION_PORT } from '../../src/controller/admission/server.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const WEB = 'web'
const REPLICAS = 3

let client: KubeClient
let witness: Awaited<ReturnType<typeof startWitness>>

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
  witness = await startWitness(GATEWAY)
  await runDeployment(client, { name: WEB, replicas: REPLICAS, witness: witness.target })
  await eventually('all of them count', async () => violationsByProgram(witness.reports).size === REPLICAS)
})
after(async () => {
  await removeDeployment(client, WEB)
  await witness.close()
  client.close()
})

async function assertMoved(migration: Migration): Promise<void> {
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  assert.equal(migration.status?.mode, 'Live')
}

/** Runs the act while everybody watches, and asserts that the owner had its replicas throughout, and that nothing is left behind. */
async function watched(act: (first: string) => Promise<{ atOnce: number; replicas?: number }>) {
  const [first] = await podsOf(client, WEB)
  const census = startCensus(client, WEB)
  const faults = (replicas: number) => faultsOf(client, WEB, replicas)
  const through = async () => {
    const { atOnce, replicas = REPLICAS } = await act(first?.metadata.name ?? '')
    const seen = witness.reports.length
    await eventually('they count on', async () => witness.reports.length > seen + 100)
    const isWhole = async () => (await faults(replicas)).length === 0
    await eventually('the owner has its replicas', isWhole, 15_000).catch(() => {})
    return { atOnce, replicas }
  }
  const { atOnce, replicas } = await through().finally(() => census.stop())
  const found = await census.stop()
  console.log(`${found.fewest} to ${found.most} pods in ${found.looks} looks`)
  assert.deepEqual(await faults(replicas), [])
  assert.ok(found.fewest >= REPLICAS, `only ${found.fewest} pods at a time`)
  assert.ok(found.most <= replicas + atOnce, `${found.most} pods at a time`)
  assert.deepEqual([...violationsByProgram(witness.reports).values()].flat(), [])
  assert.deepEqual(await lastingLeftovers(client), [])
}

/** Nobody is lost, and nobody has begun afresh. */
const assertSamePrograms = () => assert.equal(violationsByProgram(witness.reports).size, REPLICAS, 'programs')

/** The node where a pod is not. */
async function otherNode(name: string): Promise<NodeName> {
  const pod = await podOrUndefined(client, 'default', name)
  return pod?.spec.nodeName === 'node-1' ? 'node-2' : 'node-1'
}

test('one pod of a Deployment moves, and moves on', () =>
  watched(async (first) => {
    const there = await migrate(client, { podName: first, destinationNode: await otherNode(first) })
    await assertMoved(there)
    const moved = there.status?.destination?.podName ?? ''
    await assertMoved(await migrate(client, { podName: moved, destinationNode: await otherNode(moved) }))
    assertSamePrograms()
    await noteSeen({
      kind: 'feature',
      what: 'pod of a Deployment',
      result: 'moves',
      checked: 'each program counts on without gap or repeat; the ReplicaSet has its replicas throughout',
      downtimesMs: [there.status?.timings?.downtimeMs ?? Number.NaN],
    })
    return { atOnce: 1 }
  }))

test('all three move at once', () =>
  watched(async () => {
    const started = (await podsOf(client, WEB)).map(async ({ metadata: { name: podName } }) =>
      startMigration(client, { podName, destinationNode: await otherNode(podName) }),
    )
    const ended = await Promise.all(started.map(async (migration) => finished(client, await migration)))
    for (const migration of ended) await assertMoved(migration)
    assertSamePrograms()
    return { atOnce: REPLICAS }
  }))

test('podferry migrate deployment/web --away-from empties a node', () =>
  watched(async () => {
    const [first] = await podsOf(client, WEB)
    const leaving = first?.spec.nodeName ?? ''
    const { stdout } = await promisify(execFile)(join(CHECKOUT, 'bin/podferry'), [
      ...['migrate', `deployment/${WEB}`, '--away-from', leaving, '--kubeconfig', KUBECONFIG],
    ])
    assert.match(stdout, /([1-3]) of \1 pods moved, downtime \d/)
    const pods = await podsOf(client, WEB)
    assert.ok(!pods.some(({ spec }) => spec.nodeName === leaving), `a pod is left on ${leaving}`)
    assertSamePrograms()
    return { atOnce: 2 }
  }))

/** Drops what comes to a port. */
const iptables = (name: NodeName, chain: readonly string[], port: number) =>
  node(name).exec(['iptables', '--wait', ...chain, '--protocol', 'tcp', '--dport', `${port}`, '--jump', 'DROP'])

/** What the source agent sends to the other gets there no more. Its pods and its kubelet notice nothing. */
const deafen = (name: NodeName, how: '--insert' | '--delete') => iptables(name, [how, 'INPUT'], AGENT_PORT)

/** Strikes while the destination waits and nothing is committed, and makes sure that there is time for it. */
async function interrupted(podName: string, strike: (migration: Migration) => Promise<unknown>): Promise<Migration> {
  const destinationNode = await otherNode(podName)
  await deafen(destinationNode, '--insert')
  try {
    const started = await startMigration(client, { podName, destinationNode })
    await reaches(client, started, 'DestinationReady')
    await strike(started)
    const ended = await finished(client, started)
    assert.equal(condition(ended.status, 'Succeeded')?.reason, 'RolledBack')
    return ended
  } finally {
    await deafen(destinationNode, '--delete')
  }
}

test('a rollback hands the pod back to its ReplicaSet', () =>
  watched(async (first) => {
    const before = await client.get(PODS, 'default', first)
    const { status } = await interrupted(first, ({ metadata: { name } }) =>
      kubectl(['annotate', 'mig', name, `${CANCEL_ANNOTATION}=test`]),
    )
    assert.equal(status?.failure?.reason, 'Cancelled')
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

/** It does not answer, also on connections that are open already: so a call hangs rather than fails. */
async function withWebhookDown(act: () => Promise<void>): Promise<void> {
  const drop = (how: '--insert' | '--delete') =>
    Promise.all(NODES.map((name) => iptables(name, [how, 'FORWARD'], ADMISSION_PORT)))
  await drop('--insert')
  try {
    await act()
  } finally {
    await drop('--delete')
  }
}

test('while the webhook is down the move is refused, nothing is touched, and other pods are made as always', () =>
  watched(async (first) => {
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

const scale = (replicas: number) => kubectl(['scale', 'deployment', WEB, `--replicas=${replicas}`])

test('a move goes on while its Deployment is scaled up, and gives way while it is scaled down', async () => {
  await watched(async (first) => {
    const started = await startMigration(client, { podName: first, destinationNode: await otherNode(first) })
    await scale(REPLICAS + 1)
    await assertMoved(await finished(client, started))
    return { atOnce: 1, replicas: REPLICAS + 1 }
  })
  await watched(async (first) => {
    const { status } = await interrupted(first, () => scale(REPLICAS))
    assert.equal(status?.failure?.reason, 'DestinationPodDeleted')
    return { atOnce: 2 }
  })
})

test('a rollout goes on while a pod moves, whichever of the two comes first', () =>
  watched(async (first) => {
    const started = await startMigration(client, { podName: first, destinationNode: await otherNode(first) })
    await reaches(client, started, 'Accepted')
    const patch = JSON.stringify({ spec: { template: { metadata: { annotations: { rolled: 'out' } } } } })
    await kubectl(['patch', 'deployment', WEB, '-p', patch])
    const { status } = await finished(client, started)
    const end = status?.failure?.reason ?? condition(status, 'Succeeded')?.reason ?? ''
    console.log(`the move ended as ${end}`)
    assert.ok(['Moved', 'DestinationPodDeleted', 'ReplacementNotMade'].includes(end), end)
    await kubectl(['rollout', 'status', `deployment/${WEB}`, '--timeout=60s'])
    await eventually('the old pods are gone', async () =>
      (await podsOf(client, WEB)).every(({ metadata }) => metadata.annotations?.rolled === 'out'),
    )
    return { atOnce: 2 }
  }))
