/** A checkpoint archive into an image and into a registry by buildah, as the older operator and most guides do it. */
import { randomUUID } from 'node:crypto'
import { node } from '../lab/cluster.ts'
import { REGISTRY_HOST } from '../lab/places.ts'

const NODE = node('node-1')
/** On a real file system: an overlay can't lie on the node's own overlay. */
export const STORAGE = '/var/lib/containerd/bench-buildah'
const BUILDAH = ['buildah', '--root', STORAGE, '--runroot', '/run/bench-buildah', '--storage-driver', 'overlay']

/** @returns the image's reference in the lab's registry */
export async function pushByBuildah(archive: string): Promise<string> {
  const image = `${REGISTRY_HOST}/bench/${randomUUID()}:checkpoint`
  const buildah = async (...args: string[]) => (await NODE.exec([...BUILDAH, ...args])).trim()
  const container = await buildah('from', 'scratch')
  await buildah('add', '-q', container, archive, '/')
  await buildah('config', '--annotation=org.criu.checkpoint.container.name=main', container)
  await buildah('commit', '-q', container, image)
  await buildah('push', '-q', image)
  await buildah('rm', container)
  await buildah('rmi', image)
  return image
}
