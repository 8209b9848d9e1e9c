/** One migration with one blow in the middle, and everything that must hold afterwards. */
import assert from 'node:assert/strict'
import { isTrue } from '../../src/api/conditions.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { GATEWAY } from '../places.ts'
import { ready } from './deploy.ts'
import { eventually } from './eventually.ts'
import { lastingLeftovers } from './leftovers.ts'
import { finished, startMigration } from './migrate.ts'
import { counterPod, podOrUndefined, removePod, restarts, runPod } from './pods.ts'
import { reaches, type Stage } from './stages.ts'
import { startWitness, violations } from './witness.ts'

interface Strike {
  /** Name of the pod. */
  name: string
  /** The moment of the blow. */
  stage: Stage
  /** @returns how many processes it hit; none would prove nothing */
  blow(): Promise<number>
}

/**
 * Moves a counter from node 1 to node 2 while something is struck, and asserts that it was either moved once or runs on at the
 * source, without a restart, never twice, counting on by one, with nothing left behind.
 *
 * @returns what became of it, for people
 */
export async function strike(client: KubeClient, { name, stage, blow }: Strike): Promise<string> {
  await ready()
  const witness = await startWitness(GATEWAY)
  await runPod(client, counterPod({ name, node: 'node-1', witness: witness.target }))
  await eventually('it counts', async () => witness.reports.length > 10)
  const migration = await startMigration(client, { podName: name, destinationNode: 'node-2', mode: 'Image' })
  await reaches(client, migration, stage)
  assert.ok((await blow()) > 0, 'there was nothing to strike')

  const { status } = await finished(client, migration, 180_000)
  const moved = isTrue(status, 'Succeeded')
  const survivor = moved ? (status?.destination?.podName ?? '') : name
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 10)
  const pod = await podOrUndefined(client, 'default', survivor)
  assert.equal(pod && restarts(pod), 0, 'the survivor was restarted')
  assert.deepEqual(violations(witness.reports), [])

  await removePod(client, 'default', survivor)
  await witness.close()
  await settledClean(client)
  return `${moved ? 'moved' : `rolled back (${status?.failure?.reason})`}, downtime ${status?.timings?.downtime ?? 'none'}`
}

/** What was struck down may still be sweeping up after its restart. */
async function settledClean(client: KubeClient): Promise<void> {
  assert.deepEqual(await lastingLeftovers(client), [])
}
