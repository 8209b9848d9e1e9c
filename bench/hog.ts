/** The program that benchmarks move: it fills memory with noise and then counts. */
import { kubectl } from '../lab/cluster.ts'
import { eventually } from '../lab/scenario/eventually.ts'
import { barePod, runPod } from '../lab/scenario/pods.ts'
import type { KubeClient } from '../src/kube/client.ts'

/** Starts a pod that fills `mebibytes` of memory with noise and waits until it counts. */
export async function runHog(client: KubeClient, name: string, node: string, mebibytes: number): Promise<void> {
  await runPod(client, barePod({ name, node, image: 'hog:1', command: ['/hog', String(mebibytes)] }))
  await eventually(
    'its memory is filled',
    async () => (await kubectl(['logs', name, '--tail=1'])).trim() !== '',
    120_000,
  )
}
