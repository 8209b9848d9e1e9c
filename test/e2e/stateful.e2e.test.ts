/** Pods of a StatefulSet: same name, same claim, the file on it and the memory go on together. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { node } from '../../lab/cluster.ts'
import { GATEWAY, type NodeName } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry, ready } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { ledgerPod, podsUnder, restarts } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { reaches, type Stage } from '../../lab/scenario/stages.ts'
import { removeStatefulSet, runStatefulSet } from '../../lab/scenario/stateful-sets.ts'
import { killEverywhere, signal } from '../../lab/scenario/victims.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import type { Pod } from '../../src/api/pod.ts'
import { PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const SET = 'books'
const POD = `${SET}-0`
const BOOK = '/book'

let client: KubeClient
let witness: Awaited<ReturnType<typeof startWitness>>
let first: Pod

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
  witness = await startWitness(GATEWAY)
  const { spec } = ledgerPod({ name: SET, node: '', witness: witness.target, mebibytes: 16 })
  first = await runStatefulSet(client, { name: SET, mountPath: BOOK, accessMode: 'ReadWriteOnce', spec })
  await eventually('it counts', async () => witness.reports.length > 50)
})
after(async () => {
  await removeStatefulSet(client, SET)
  await witness.close()
  client.close()
})

const pod = () => client.get(PODS, 'default', POD)
const otherNode = async (): Promise<NodeName> => ((await pod()).spec.nodeName === 'node-1' ? 'node-2' : 'node-1')

/** The one program counts on, finds memory and file as it left them, under the same name, alone, with nothing left behind. */
async function assertWhole(): Promise<void> {
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 50)
  assert.deepEqual(violations(witness.reports), [])
  // It has read all that it ever wrote, in memory and on the volume.
  assert.match(witness.reports.at(-1)?.state ?? '', / ok$/)
  const { metadata, ...now } = await pod()
  assert.equal(restarts({ metadata, ...now }), 0)
  assert.equal(metadata.labels?.['apps.kubernetes.io/pod-index'], '0')
  assert.equal(metadata.labels?.['controller-revision-hash'], first.metadata.labels?.['controller-revision-hash'])
  assert.deepEqual(metadata.ownerReferences, first.metadata.ownerReferences)
  const claims = ({ spec }: Pick<Pod, 'spec'>) => spec.volumes?.map((volume) => volume.persistentVolumeClaim)
  assert.deepEqual(claims(now), claims(first))
  assert.deepEqual(
    (await podsUnder(client, SET)).map(({ metadata: { name } }) => name),
    [POD],
  )
  assert.deepEqual(await lastingLeftovers(client), [])
}

async function assertMoved(migration: Migration): Promise<void> {
  const { mode, destination, timings } = migration.status ?? {}
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  assert.deepEqual([mode, destination?.podName], ['Image', POD])
  console.log(`downtime ${timings?.downtime}, of ${timings?.totalMs} ms`)
}

test('a StatefulSet pod with a PVC (name, ordinal, data, memory) moves there and back', async () => {
  const there = await migrate(client, { podName: POD, destinationNode: await otherNode() })
  await assertMoved(there)
  assert.match(condition(there.status, 'Accepted')?.message ?? '', /not Live: .*same name.*stands still/)
  await assertWhole()
  await assertMoved(await migrate(client, { podName: POD, destinationNode: await otherNode() }))
  await assertWhole()
  await noteSeen({
    kind: 'feature',
    what: 'pod of a StatefulSet with a ReadWriteOnce claim',
    result: 'moves',
    checked: 'name, ordinal, revision and claim stay; memory and the file on the claim go on by exactly one',
    downtimesMs: [there.status?.timings?.downtimeMs ?? Number.NaN],
  })
})

test('mode Live is refused, and says why', async () => {
  const { status } = await migrate(client, { podName: POD, destinationNode: await otherNode(), mode: 'Live' })
  assert.equal(status?.failure?.reason, 'OwnerNeedsImage')
  assert.match(status.failure.message, /same name.*use mode Image/)
})

const VICTIMS: Record<string, (source: NodeName, destination: NodeName) => Promise<number>> = {
  controller: () => killEverywhere('controller'),
  'source agent': (source) => signal(source, 'agent', 'KILL'),
  'destination agent': (_, destination) => signal(destination, 'agent', 'KILL'),
  'event handler': (_, destination) => signal(destination, 'event-handler', 'KILL'),
  registry: (_, destination) => signal(destination, 'registry', 'KILL'),
}
const STAGES: Stage[] = ['Accepted', 'DestinationReady', 'Checkpointed', 'Delivered', 'Committed', 'Restored']
/** Before the commit; while the name is free; while only the destination may run it. */
const FEW: [string, Stage][] = [
  ['controller', 'Checkpointed'],
  ['controller', 'Committed'],
  ['source agent', 'Committed'],
  ['destination agent', 'Committed'],
]
/** `make kills`. */
const ALL = Object.keys(VICTIMS).flatMap((victim) => STAGES.map((stage): [string, Stage] => [victim, stage]))

for (const [victim, stage] of process.env.PODFERRY_KILLS === 'all' ? ALL : FEW) {
  test(`kill -9 of the ${victim} at ${stage}: moved once, or running with its state`, async () => {
    const destinationNode = await otherNode()
    const sourceNode = destinationNode === 'node-1' ? 'node-2' : 'node-1'
    const started = await startMigration(client, { podName: POD, destinationNode })
    await reaches(client, started, stage)
    assert.ok(((await VICTIMS[victim]?.(sourceNode, destinationNode)) ?? 0) > 0, 'there was nothing to strike')
    const { status } = await finished(client, started)
    console.log(`${victim} killed at ${stage}: ${condition(status, 'Succeeded')?.message}`)
    await ready()
    await assertWhole()
  })
}

test('a pod that can be restored only where it came from comes back there, with its state', async () => {
  const destinationNode = await otherNode()
  const machine = node(destinationNode)
  const criu = (await machine.exec(['sh', '-c', 'command -v criu'])).trim()
  const started = await startMigration(client, { podName: POD, destinationNode })
  try {
    await reaches(client, started, 'Checkpointed')
    await machine.exec(['mv', criu, `${criu}.away`])
    const { status } = await finished(client, started)
    const summary = condition(status, 'Succeeded')
    console.log(`${summary?.message}`)
    assert.equal(summary?.reason, 'RolledBack')
    assert.match(summary.message, /runs on at node-[12], restored from the checkpoint kept there/)
    assert.notEqual((await pod()).spec.nodeName, destinationNode)
  } finally {
    await machine.exec(['mv', `${criu}.away`, criu])
  }
  await assertWhole()
})
