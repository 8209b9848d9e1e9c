/** From a kubelet's archive to an image in a registry: ours, and as the older operator did it, with buildah. Same archive, same registry. */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { node } from '../lab/cluster.ts'
import { readPki } from '../lab/pki.ts'
import { REGISTRY_HOST } from '../lab/places.ts'
import { removePod } from '../lab/scenario/pods.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { pushCheckpointImage } from '../src/oci/checkpoint-image.ts'
import { pushByBuildah, STORAGE } from './buildah.ts'
import { runHog } from './hog.ts'
import { kubeletCheckpoint } from './kubelet-checkpoint.ts'

interface PackingFigures {
  archiveBytes: number
  oursMs: number
  buildahMs: number
}

const NODE = node('node-1')

export async function measurePacking(client: KubeClient, mebibytes: number): Promise<PackingFigures> {
  const name = 'bench-archive'
  await removePod(client, 'default', name)
  await runHog(client, name, 'node-1', mebibytes)
  const archive = await kubeletCheckpoint(name)
  await removePod(client, 'default', name)
  try {
    const archiveBytes = Number(await NODE.exec(['stat', '-c', '%s', archive]))
    // The page cache is warm for both; each goes first once, so that neither profits from the order.
    const ours = [await timed(() => pushOurs(archive))]
    const buildah = [await timed(() => pushByBuildah(archive)), await timed(() => pushByBuildah(archive))]
    ours.push(await timed(() => pushOurs(archive)))
    return { archiveBytes, oursMs: mean(ours), buildahMs: mean(buildah) }
  } finally {
    await NODE.exec(['rm', '-rf', archive, STORAGE])
  }
}

const mean = (values: number[]) => Math.round(values.reduce((sum, value) => sum + value, 0) / values.length)

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

async function pushOurs(archive: string): Promise<void> {
  await pushCheckpointImage({
    registry: { url: `https://${REGISTRY_HOST}`, ca: await readPki('ca.crt') },
    namespace: 'default',
    migrationUID: randomUUID(),
    container: 'main',
    archive: createReadStream(join(await NODE.root(), archive), { highWaterMark: 1 << 20 }),
    architecture: 'amd64',
  })
}
