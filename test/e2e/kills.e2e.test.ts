/**
 * kill -9 of every part at every step: the pod is either moved once or runs on at the source without a restart,
 * never both at once, and nothing is left behind.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GATEWAY, type NodeName } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry, ready } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { leftovers } from '../../lab/scenario/leftovers.ts'
import { finished, startMigration } from '../../lab/scenario/migrate.ts'
import { counterPod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { reaches, type Stage } from '../../lab/scenario/stages.ts'
import { kill, killEverywhere } from '../../lab/scenario/victims.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { isTrue } from '../../src/api/conditions.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const STRIKES: Record<string, (source: NodeName, destination: NodeName) => Promise<number>> = {
  controller: () => killEverywhere('controller'),
  'source agent': (source) => kill(source, 'agent'),
  'destination agent': (_, destination) => kill(destination, 'agent'),
  'event handler': (_, destination) => kill(destination, 'event-handler'),
  registry: (_, destination) => kill(destination, 'registry'),
}

const AT: Stage[] = ['Accepted', 'DestinationReady', 'Checkpointed', 'Delivered', 'Committed', 'Restored']

let client: KubeClient
const outcomes: string[] = []

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => {
  client.close()
  console.log(outcomes.join('\n'))
})

async function strike(victim: string, stage: Stage, name: string): Promise<void> {
  await ready()
  const witness = await startWitness(GATEWAY)
  await runPod(client, counterPod({ name, node: 'node-1', witness: witness.target }))
  await eventually('it counts', async () => witness.reports.length > 10)
  const migration = await startMigration(client, { podName: name, destinationNode: 'node-2' })
  await reaches(client, migration, stage)
  const killed = await STRIKES[victim]?.('node-1', 'node-2')
  assert.ok(killed, `${victim} was not there to be killed`)
  const { status } = await finished(client, migration, 180_000)
  const moved = isTrue(status, 'Succeeded')
  outcomes.push(`${victim} killed at ${stage}: ${moved ? 'moved' : `rolled back (${status?.failure?.reason})`}`)
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 10)
  const survivor = moved ? (status?.destination?.podName ?? '') : name
  const pod = await podOrUndefined(client, 'default', survivor)
  assert.equal(pod && restarts(pod), 0, 'the survivor was restarted')
  assert.deepEqual(violations(witness.reports), [])
  await removePod(client, 'default', survivor)
  await witness.close()
  await eventually('nothing is left behind', async () => (await leftovers(client)).length === 0, 20_000).catch(
    async () => assert.deepEqual(await leftovers(client), []),
  )
}

for (const victim of Object.keys(STRIKES)) {
  describe(`kill -9 of the ${victim}`, () => {
    for (const stage of AT) {
      test(`at ${stage}`, () => strike(victim, stage, `kill-${victim.replaceAll(' ', '-')}-${stage.toLowerCase()}`))
    }
  })
}
