/** From a kubelet's archive to an image in a registry: ours, and as the older operator did it, with buildah. Same archive, same registry. */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { kubectl, node } from '../lab/cluster.ts'
import { readPki } from '../lab/pki.ts'
import { REGISTRY_HOST } from '../lab/places.ts'
import { removePod } from '../lab/scenario/pods.ts'
import type { KubeClient } from '../src/kube/client.ts'
import { pushCheckpointImage } from '../src/oci/checkpoint-image.ts'
import { runHog } from './move.ts'

interface PackingFigures {
  archiveBytes: number
  oursMs: number
  buildahMs: number
}

const NODE = node('node-1')
/** On a real file system: an overlay can't lie on the node's own overlay. */
const STORAGE = '/var/lib/containerd/bench-buildah'
const BUILDAH = ['buildah', '--root', STORAGE, '--runroot', '/run/bench-buildah', '--storage-driver', 'overlay']

export async function measurePacking(client: KubeClient, mebibytes: number): Promise<PackingFigures> {
  const name = 'bench-archive'
  await removePod(client, 'default', name)
  await runHog(client, name, 'node-1', mebibytes)
  const archive = await checkpoint(name)
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

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

async function checkpoint(pod: string): Promise<string> {
  const answer = await kubectl([
    'create',
    '--raw',
    `/api/v1/nodes/node-1/proxy/checkpoint/default/${pod}/main`,
    '-f',
    '/dev/null',
  ])
  const { items } = JSON.parse(answer) as { items: string[] }
  return items[0] ?? ''
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

async function pushByBuildah(archive: string): Promise<void> {
  const image = `${REGISTRY_HOST}/bench/${randomUUID()}:checkpoint`
  const buildah = async (...args: string[]) => (await NODE.exec([...BUILDAH, ...args])).trim()
  const container = await buildah('from', 'scratch')
  await buildah('add', '-q', container, archive, '/')
  await buildah('config', '--annotation=org.criu.checkpoint.container.name=main', container)
  await buildah('commit', '-q', container, image)
  await buildah('push', '-q', image)
  await buildah('rm', container)
  await buildah('rmi', image)
}
