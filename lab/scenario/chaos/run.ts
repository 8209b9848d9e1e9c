/** One live migration of a counter with one blow in the middle, and everything that must hold afterwards. */
import { setTimeout as sleep } from 'node:timers/promises'
import { condition, isFalse, isTrue } from '../../../src/api/conditions.ts'
import type { Migration } from '../../../src/api/migration.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import { GATEWAY, type NodeName } from '../../places.ts'
import { ready } from '../deploy.ts'
import { eventually } from '../eventually.ts'
import { leftovers } from '../leftovers.ts'
import { finished, startMigration } from '../migrate.ts'
import { counterPod, podOrUndefined, removePod, restarts, runPod } from '../pods.ts'
import { reaches, type Stage } from '../stages.ts'
import { startWitness, violations, violationsOfReturn } from '../witness.ts'
import type { Blow } from './blows.ts'

export interface ChaosRun {
  blow: Blow
  /** The blow lands so long after the API server has said that the stage is reached. */
  stage: Stage
  delayMs: number
}

export interface Outcome {
  hit: boolean
  /** `moved`, or `rolled back (Reason)`. */
  end: string
  downtime: string
  /** One sentence each; empty when all held. */
  violations: string[]
}

const SOURCE: NodeName = 'node-1'
const DESTINATION: NodeName = 'node-2'
const PATIENCE_S = 120

/** Never throws for what the migration did wrong: that is in the outcome. */
export async function chaosRun(client: KubeClient, name: string, { blow, stage, delayMs }: ChaosRun): Promise<Outcome> {
  await ready()
  const witness = await startWitness(GATEWAY)
  const found: string[] = []
  let cure: (() => Promise<void>) | undefined
  try {
    await runPod(client, counterPod({ name, node: SOURCE, witness: witness.target }))
    await eventually('it counts', async () => witness.reports.length > 10)
    const started = await startMigration(client, { podName: name, destinationNode: DESTINATION, mode: 'Live' })
    await reaches(client, started, stage)
    await sleep(delayMs)
    cure = await blow.land(SOURCE, DESTINATION)

    const end = await finished(client, started, (blow.patience ?? PATIENCE_S) * 1000).catch(async (error) => {
      found.push(`no end: ${error.message}`)
      return undefined
    })
    await cure?.()
    if (end !== undefined) found.push(...(await judge(client, end, name, witness.reports, blow)))
    await removeAll(client, name, end)
    found.push(...(await left(client)))
    return {
      hit: cure !== undefined,
      end: end === undefined ? 'none' : endOf(end),
      downtime: end?.status?.timings?.downtime ?? 'none',
      violations: found,
    }
  } finally {
    await cure?.().catch(() => {})
    await witness.close()
  }
}

const endOf = ({ status }: Migration) =>
  isTrue(status, 'Succeeded')
    ? 'moved'
    : `rolled back (${status?.failure?.reason ?? condition(status, 'Succeeded')?.reason})`

async function judge(
  client: KubeClient,
  { status }: Migration,
  name: string,
  reports: Parameters<typeof violations>[0],
  blow: Blow,
): Promise<string[]> {
  const found: string[] = []
  const moved = isTrue(status, 'Succeeded')
  const survivor = moved ? (status?.destination?.podName ?? '') : name
  const seen = reports.length
  await eventually('it counts on', async () => reports.length > seen + 10, 30_000).catch(() =>
    found.push(`the survivor ${survivor} does not count on`),
  )
  const pod = await podOrUndefined(client, 'default', survivor)
  if (pod === undefined) found.push(`the survivor ${survivor} is gone`)
  else if (restarts(pod) > 0 && !blow.restarts) found.push(`the survivor was restarted ${restarts(pod)} time(s)`)
  if (moved && !isTrue(status, 'Restored')) found.push('success without a restore')
  if (!moved && !status?.failure?.reason) found.push('a failure without a reason')
  // Only a migration that says so may have undone work since the commit.
  const undone = !moved && isTrue(status, 'Committed') && (isFalse(status, 'Delivered') || isFalse(status, 'Restored'))
  return [...found, ...(undone ? violationsOfReturn(reports) : violations(reports))]
}

async function removeAll(client: KubeClient, name: string, end: Migration | undefined): Promise<void> {
  for (const pod of [name, end?.status?.destination?.podName]) {
    if (pod !== undefined) await removePod(client, 'default', pod)
  }
}

/** What was struck down may still be sweeping up after its restart. */
async function left(client: KubeClient): Promise<string[]> {
  const clean = async () => (await leftovers(client)).length === 0
  await eventually('nothing is left behind', clean, 30_000, 500).catch(() => {})
  return await leftovers(client)
}
