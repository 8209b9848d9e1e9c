/** Mode Image to a node whose container runtime restores nothing: podferry's own OCI runtime does. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { node } from '../../lab/cluster.ts'
import { setRestoreSupport } from '../../lab/node-settings.ts'
import { GATEWAY } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry, ready } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { ledgerPod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { reaches } from '../../lab/scenario/stages.ts'
import { signal } from '../../lab/scenario/victims.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { condition } from '../../src/api/conditions.ts'
import { factsOf } from '../../src/api/node-facts.ts'
import { NODES } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient
let witness: Awaited<ReturnType<typeof startWitness>>

async function restores(able: boolean): Promise<void> {
  await setRestoreSupport('node-2', able)
  const told = async () => factsOf(await client.get(NODES, undefined, 'node-2'))?.image.able
  await eventually('its agent has seen it', async () => (await told()) === able)
}

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
  await restores(false)
})
after(async () => {
  await restores(true)
  client.close()
})

async function runLedger(name: string): Promise<void> {
  witness = await startWitness(GATEWAY)
  await runPod(client, ledgerPod({ name, node: 'node-1', witness: witness.target, mebibytes: 16 }))
  await eventually('it counts', async () => witness.reports.length > 50)
}

/** It goes on by exactly one, and has found all that it ever wrote, in memory and in its file. */
async function assertWhole(podName: string): Promise<void> {
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 50)
  assert.deepEqual(violations(witness.reports), [])
  assert.match(witness.reports.at(-1)?.state ?? '', / ok$/)
  const pod = await podOrUndefined(client, 'default', podName)
  assert.equal(pod && restarts(pod), 0)
}

test('a pod arrives with memory and files, goes back, and nothing is left', async () => {
  await runLedger('wrapped')
  const there = await migrate(client, { podName: 'wrapped', destinationNode: 'node-2', mode: 'Image' })
  for (const { sentence, holds } of await proofsOfMove(client, there)) assert.ok(holds, sentence)
  assert.match(condition(there.status, 'Accepted')?.message ?? '', /restored by podferry's own OCI runtime/)
  assert.deepEqual([there.status?.mode, there.status?.destination?.restorer], ['Image', 'Wrapper'])
  const podName = there.status?.destination?.podName ?? ''
  await assertWhole(podName)
  console.log(`downtime ${there.status?.timings?.downtime}, of ${there.status?.timings?.totalMs} ms`)
  assert.deepEqual(await lastingLeftovers(client), [])
  await noteSeen({
    kind: 'feature',
    what: 'mode Image where the container runtime restores nothing',
    result: 'moves',
    checked: "restored by podferry's own OCI runtime; memory and the file in the root file system go on by exactly one",
    downtimesMs: [there.status?.timings?.downtimeMs ?? Number.NaN],
  })

  const back = await migrate(client, { podName, destinationNode: 'node-1', mode: 'Image' })
  assert.equal(back.status?.destination?.restorer, undefined)
  await assertWhole(back.status?.destination?.podName ?? '')
  await removePod(client, 'default', back.status?.destination?.podName ?? '')
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
})

test('kill -9 of the destination agent after the commit: it goes on from what is on the node', async () => {
  await runLedger('struck')
  const started = await startMigration(client, { podName: 'struck', destinationNode: 'node-2', mode: 'Image' })
  await reaches(client, started, 'Committed')
  assert.ok((await signal('node-2', 'agent', 'KILL')) > 0, 'there was nothing to strike')
  const { status } = await finished(client, started)
  console.log(`${condition(status, 'Succeeded')?.message}`)
  assert.equal(condition(status, 'Succeeded')?.status, 'True')
  await ready()
  await assertWhole(status?.destination?.podName ?? '')
  await removePod(client, 'default', status?.destination?.podName ?? '')
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
})

test('a restore that fails there: the source runs on as if nothing had happened', async () => {
  await runLedger('unwrapped')
  const criu = (await node('node-2').exec(['sh', '-c', 'command -v criu'])).trim()
  const started = await startMigration(client, { podName: 'unwrapped', destinationNode: 'node-2', mode: 'Image' })
  try {
    await reaches(client, started, 'Checkpointed')
    await node('node-2').exec(['mv', criu, `${criu}.away`])
    const { status } = await finished(client, started)
    const summary = condition(status, 'Succeeded')
    console.log(`${status?.failure?.reason}: ${summary?.message}`)
    assert.equal(summary?.reason, 'RolledBack')
    assert.equal(condition(status, 'Restored')?.status, 'False')
  } finally {
    await node('node-2').exec(['mv', `${criu}.away`, criu])
  }
  await assertWhole('unwrapped')
  await removePod(client, 'default', 'unwrapped')
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
})
