/** Where on this node the files of the moved pod belong. */
import { isAbsolute, join, normalize } from 'node:path'
import { z } from 'zod'
import { PodferryError } from '../../../errors.ts'
import { isLabel } from '../../peer/names.ts'
import { openLayer } from './layers.ts'
import { takenRoot } from './root.ts'
import { exists, readWaiting, textOf } from './staging.ts'

interface Arrival {
  hostRoot: string
  /** The kubelet's --root-dir on the node. */
  kubeletRoot: string
  runtimeRoot: string
  podUID: string
  /** Of the Migration, in kubelet's order. */
  containers: readonly string[]
}

const specSchema = z.object({ mounts: z.array(z.object({ destination: z.string(), source: z.string().optional() })) })

/**
 * @param root `layer:<container>`, `volume:<name>` or `shm`
 * @returns as this process sees it
 * @throws PodferryError when there is no such place, or the container waits no longer
 */
export async function targetOf(arrival: Arrival, root: string): Promise<string> {
  const { hostRoot, kubeletRoot, podUID, containers } = arrival
  const [kind, name = ''] = root.split(/:(.*)/s)
  if (kind === 'layer' && containers.includes(name)) {
    return name === containers[0]
      ? join(hostRoot, (await ownRoot(arrival, name)).upper)
      : await openLayer(arrival, name)
  }
  if (kind === 'volume' && isLabel(name)) {
    const folder = join(hostRoot, kubeletRoot, 'pods', podUID, 'volumes/kubernetes.io~empty-dir', name)
    if (await exists(folder)) return folder
    throw noTarget(root, `the destination pod has no emptyDir volume ${name}`)
  }
  if (root === 'shm') return join(hostRoot, await sharedMemory(arrival))
  throw noTarget(root, 'it is none that this Migration has')
}

/** @throws PodferryError `ContainerReplaced` when the container that waits is not the one whose root was taken off, `NotBegun` before that */
export async function ownRoot({ hostRoot, podUID }: Pick<Arrival, 'hostRoot' | 'podUID'>, container: string) {
  const root = await takenRoot({ hostRoot, podUID, container })
  if (root === undefined) {
    const message = `the root file system of container ${container} was not taken off yet`
    throw new PodferryError({ reason: 'NotBegun', message, retry: 'backoff' })
  }
  const waiting = await readWaiting(hostRoot, podUID, container)
  if (root.containerID === waiting?.containerID) return root
  throw containerReplaced(container)
}

/** For good: the state belongs to one container. */
export const containerReplaced = (container: string): PodferryError =>
  new PodferryError({
    reason: 'ContainerReplaced',
    message: `container ${container} of the destination pod was made anew meanwhile, and what was sent is lost; a container waits ${PATIENCE} for its checkpoint`,
  })

const PATIENCE = '100 s'

/** The sandbox's /dev/shm, which all containers of a pod share. */
async function sharedMemory({ hostRoot, podUID, containers }: Arrival): Promise<string> {
  for (const container of containers) {
    const waiting = await readWaiting(hostRoot, podUID, container)
    const text = waiting && (await textOf(join(hostRoot, waiting.bundle, 'config.json')))
    if (!text) continue
    const { mounts } = specSchema.parse(JSON.parse(text))
    const source = mounts.find(({ destination }) => destination === '/dev/shm')?.source
    if (source && isAbsolute(source) && normalize(source) === source) return source
  }
  throw noTarget('shm', 'no container of the destination pod has a /dev/shm of its sandbox')
}

const noTarget = (root: string, why: string) =>
  new PodferryError({ reason: 'UnknownFiles', message: `files of ${root} have no place at the destination: ${why}` })
