/** One move of a memory hog in mode Image: times, and what the agents need meanwhile. */

import { kubectl } from '../lab/cluster.ts'
import { eventually } from '../lab/scenario/eventually.ts'
import { migrate } from '../lab/scenario/migrate.ts'
import { barePod, removePod, runPod } from '../lab/scenario/pods.ts'
import { condition } from '../src/api/conditions.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { peakWhile, residentMegabytes } from './memory.ts'

interface MoveFigures {
  downtimeMs: number
  totalMs: number
  idleMegabytes: number
  peakMegabytes: number
}

/** Starts a pod that fills `mebibytes` of memory with noise and waits until it counts. */
export async function runHog(client: KubeClient, name: string, node: string, mebibytes: number): Promise<void> {
  await runPod(client, barePod({ name, node, image: 'hog:1', command: ['/hog', String(mebibytes)] }))
  await eventually(
    'its memory is filled',
    async () => (await kubectl(['logs', name, '--tail=1'])).trim() !== '',
    120_000,
  )
}

export async function measureMove(client: KubeClient, mebibytes: number): Promise<MoveFigures> {
  const name = 'bench-hog'
  await removePod(client, 'default', name)
  await runHog(client, name, 'node-1', mebibytes)
  const idleMegabytes = await residentMegabytes('agent')
  const moving = migrate(client, { podName: name, destinationNode: 'node-2', mode: 'Image' })
  const { peak, result } = await peakWhile('agent', moving)
  const { timings, destination } = result.status ?? {}
  const summary = condition(result.status, 'Succeeded')
  if (summary?.status !== 'True') throw new Error(`the move failed: ${summary?.message}`)
  await removePod(client, 'default', destination?.podName ?? '')
  return {
    downtimeMs: timings?.downtimeMs ?? Number.NaN,
    totalMs: timings?.totalMs ?? Number.NaN,
    idleMegabytes,
    peakMegabytes: peak,
  }
}
