/** One move of a memory hog: times, and what the agents need meanwhile. */
import { setTimeout as delay } from 'node:timers/promises'
import { migrate } from '../lab/scenario/migrate.ts'
import { counterPod, removePod, runPod } from '../lab/scenario/pods.ts'
import { condition } from '../src/api/conditions.ts'
import type { Migration, MigrationStatus, StepDurations } from '../src/api/migration.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { runHog } from './hog.ts'
import { peakWhile, residentMegabytes } from './memory.ts'

export interface MoveFigures {
  mode: 'Live' | 'Image'
  mebibytes: number
  downtimeMs: number
  totalMs: number
  steps: StepDurations
  agentIdleMegabytes: number
  agentPeakMegabytes: number
  controllerMegabytes: number
}

const SETTLED_MS = 2_000

/** @throws Error when the migration does not succeed */
export function successOf({ status }: Migration): MigrationStatus {
  const summary = condition(status, 'Succeeded')
  if (status && summary?.status === 'True') return status
  throw new Error(`the move failed: ${summary?.message}`)
}

/**
 * A pod whose program needs next to no memory: what a move takes in itself.
 *
 * @returns milliseconds from the request to create the Migration to its end; `creationTimestamp` tells only whole seconds
 * @throws Error when the migration does not succeed
 */
export async function measureSmallPod(client: KubeClient): Promise<number> {
  const name = 'bench-small'
  await removePod(client, 'default', name)
  await runPod(client, counterPod({ name, node: 'node-1' }))
  // Who moves a pod moves one that has been there for a while: both nodes have done with the making of this one and the end of the last.
  await delay(SETTLED_MS)
  const began = Date.now()
  const moved = await migrate(client, { podName: name, destinationNode: 'node-2', mode: 'Live' })
  const { timings, destination } = successOf(moved)
  await removePod(client, 'default', destination?.podName ?? '')
  return Date.parse(timings?.finishedAt ?? '') - began
}

/** @throws Error when the migration does not succeed */
export async function measureMove(
  client: KubeClient,
  { mode, mebibytes }: Pick<MoveFigures, 'mode' | 'mebibytes'>,
): Promise<MoveFigures> {
  const name = `bench-${mode.toLowerCase()}`
  await removePod(client, 'default', name)
  await runHog(client, name, 'node-1', mebibytes)
  const agentIdleMegabytes = await residentMegabytes('agent')
  const moving = migrate(client, { podName: name, destinationNode: 'node-2', mode })
  const { peak, result } = await peakWhile('agent', moving)
  const { timings, destination } = successOf(result)
  await removePod(client, 'default', destination?.podName ?? '')
  return {
    mode,
    mebibytes,
    downtimeMs: timings?.downtimeMs ?? Number.NaN,
    totalMs: timings?.totalMs ?? Number.NaN,
    steps: timings?.steps ?? {},
    agentIdleMegabytes,
    agentPeakMegabytes: peak,
    controllerMegabytes: await residentMegabytes('controller'),
  }
}
