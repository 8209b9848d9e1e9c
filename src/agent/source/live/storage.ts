/** What a pod has written to its claims lies first in the memory of its node; another node reads what the storage has. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PodferryError } from '../../../errors.ts'
import type { NodeCommands } from '../../install/node-commands.ts'
import type { Sleep } from '../tasks.ts'

export interface Storage {
  /**
   * Resolves when the storage has all that the pod has written to its claims, mapped memory too (syncfs(2)).
   *
   * @throws PodferryError `VolumeNotSynced` when it refuses, or does not answer in time
   */
  sync(pod: { name: string; uid: string }, patienceMs: number): Promise<void>
}

/** What kubelet makes itself: it moves by copy, or is made anew. */
const NO_CLAIMS: ReadonlySet<string> = new Set([
  'kubernetes.io~configmap',
  'kubernetes.io~downward-api',
  'kubernetes.io~empty-dir',
  'kubernetes.io~projected',
  'kubernetes.io~secret',
])
const UID = /^[0-9a-zA-Z-]{1,64}$/

/**
 * @param hostRoot where the node's root file system is seen
 * @param kubeletRoot the kubelet's --root-dir on the node
 * @returns where the pod's claims are mounted, on the node. No storage is asked for that: it might not answer
 */
async function claimMounts(hostRoot: string, kubeletRoot: string, podUID: string): Promise<string[]> {
  if (!UID.test(podUID)) throw new Error(`${JSON.stringify(podUID)} is no UID of a pod`)
  const volumes = join(kubeletRoot, 'pods', podUID, 'volumes')
  const plugins = (await foldersIn(join(hostRoot, volumes))).filter((plugin) => !NO_CLAIMS.has(plugin))
  const found = plugins.map(async (plugin) => {
    const names = await foldersIn(join(hostRoot, volumes, plugin))
    return names.map((name) => join(volumes, plugin, name, plugin === 'kubernetes.io~csi' ? 'mount' : ''))
  })
  return (await Promise.all(found)).flat()
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    if (error.code !== 'ENOENT') throw error
    return []
  })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

interface Options {
  hostRoot: string
  kubeletRoot: string
  node: NodeCommands
  sleep: Sleep
}

export const createStorage = ({ hostRoot, kubeletRoot, node, sleep }: Options): Storage => ({
  async sync({ name, uid }, patienceMs) {
    const mounts = await claimMounts(hostRoot, kubeletRoot, uid)
    if (mounts.length === 0) return
    const command = node.exec(['sync', '--file-system', '--', ...mounts], { timeoutMs: patienceMs })
    const over = new AbortController()
    try {
      // A process that waits for a dead file server can't be killed, so its end can't be waited for either.
      const late = sleep(patienceMs, over.signal).then(() => undefined)
      const result = await Promise.race([command, late])
      if (result === undefined) throw notSynced(name, `no answer within ${patienceMs / 1000} s`)
      if (result.code !== 0) throw notSynced(name, result.stderr.trim() || `sync ended with ${result.code}`)
    } finally {
      over.abort()
    }
  },
})

const notSynced = (pod: string, why: string): PodferryError =>
  new PodferryError({
    reason: 'VolumeNotSynced',
    message: `what pod ${pod} has written to its claims could not be brought to the storage: ${why}; see that the storage answers and has room`,
  })
