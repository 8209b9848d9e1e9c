/** What unchanged files cost while a pod stands still: two pods that differ in the content of an emptyDir only, moved in turns. */
import { kubectl } from '../lab/cluster.ts'
import { eventually } from '../lab/scenario/eventually.ts'
import { migrate } from '../lab/scenario/migrate.ts'
import { barePod, removePod, runPod } from '../lab/scenario/pods.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { successOf } from './move.ts'

export interface FileFigures {
  mebibytes: number
  /** Downtime with so many MiB of unchanged files, and with none: the median of the rounds. */
  filledMs: number
  emptyMs: number
}

const NODES = ['node-2', 'node-1', 'node-2']
const FILES = 8

/** @throws Error when a migration does not succeed */
export async function measureFiles(client: KubeClient, mebibytes: number): Promise<FileFigures> {
  let [filled, empty] = ['bench-filled', 'bench-empty']
  await Promise.all([runFiles(client, filled, mebibytes), runFiles(client, empty, 0)])
  const [filledMs, emptyMs]: [number[], number[]] = [[], []]
  for (const destinationNode of NODES) {
    const [full, plain] = [await move(client, filled, destinationNode), await move(client, empty, destinationNode)]
    filledMs.push(full.downtimeMs)
    emptyMs.push(plain.downtimeMs)
    ;[filled, empty] = [full.pod, plain.pod]
  }
  await Promise.all([filled, empty].map((pod) => removePod(client, 'default', pod)))
  return { mebibytes, filledMs: median(filledMs), emptyMs: median(emptyMs) }
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

async function runFiles(client: KubeClient, name: string, mebibytes: number): Promise<void> {
  const numbers = Array.from({ length: FILES }, (_, index) => index).join(' ')
  const fill = `for n in ${numbers}; do dd if=/dev/urandom of=/data/$n bs=1M count=${mebibytes / FILES} 2>/dev/null; done`
  const script = `${fill}; sync; echo filled; while :; do sleep 0.05; done`
  const pod = barePod({ name, node: 'node-1', image: 'busybox:1', command: ['/bin/sh', '-c', script] })
  Object.assign(pod.spec, { volumes: [{ name: 'data', emptyDir: {} }] })
  for (const container of pod.spec.containers) {
    Object.assign(container, { volumeMounts: [{ name: 'data', mountPath: '/data' }] })
  }
  await removePod(client, 'default', name)
  await runPod(client, pod)
  await eventually('its files are written', async () => (await kubectl(['logs', name])).includes('filled'), 120_000)
}

async function move(client: KubeClient, podName: string, destinationNode: string) {
  const { timings, destination } = successOf(await migrate(client, { podName, destinationNode, mode: 'Live' }))
  return { downtimeMs: timings?.downtimeMs ?? Number.NaN, pod: destination?.podName ?? '' }
}
