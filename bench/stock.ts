/** The stock flow, by hand: kubelet checkpoint, image by buildah, push, pull, restore. Nothing of podferry takes part. */
import { kubectl, node } from '../lab/cluster.ts'
import { eventually } from '../lab/scenario/eventually.ts'
import { barePod, removePod, runPod } from '../lab/scenario/pods.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { pushByBuildah, STORAGE } from './buildah.ts'
import { runHog } from './hog.ts'
import { kubeletCheckpoint } from './kubelet-checkpoint.ts'

/** @returns milliseconds from the request for the checkpoint until the copy runs: so long nobody may write to either */
export async function measureStock(client: KubeClient, mebibytes: number): Promise<number> {
  const [from, to] = ['bench-stock', 'bench-stock-copy']
  for (const pod of [from, to]) await removePod(client, 'default', pod)
  await runHog(client, from, 'node-1', mebibytes)
  const began = performance.now()
  const archive = await kubeletCheckpoint(from)
  try {
    const image = await pushByBuildah(archive)
    const pod = barePod({ name: to, node: 'node-2', image: 'hog:1' })
    const [container] = pod.spec.containers
    if (container) container.image = image
    await runPod(client, pod)
    const ms = performance.now() - began
    // It counts on: the proof that it was a restore.
    await eventually('the copy counts', async () => (await kubectl(['logs', to, '--tail=1'])).trim() !== '')
    return Math.round(ms)
  } finally {
    for (const pod of [from, to]) await removePod(client, 'default', pod)
    await node('node-1').exec(['rm', '-rf', archive, STORAGE])
  }
}
