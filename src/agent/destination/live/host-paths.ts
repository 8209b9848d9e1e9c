/** Whether this node has what the pod mounts of its node: kubelet would look again and again, until the move's own time-out. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../../api/pod.ts'
import type { LiveReadiness } from './readiness.ts'

/** The kinds whose presence the preflight counts on. */
const IS_KIND = {
  Directory: (stats: Stats) => stats.isDirectory(),
  File: (stats: Stats) => stats.isFile(),
}
type Stats = Awaited<ReturnType<typeof lstat>>

/**
 * @param hostRoot where the node's root file system is seen; its /proc must show the node's processes
 * @returns why the pod can't be made here; undefined when nothing is known to be missing
 */
export async function missingHostPath(hostRoot: string, pod: Pod, node: string): Promise<LiveReadiness | undefined> {
  for (const { name, hostPath } of pod.spec.volumes ?? []) {
    const kind = hostPath?.type
    if (hostPath === undefined || (kind !== 'Directory' && kind !== 'File')) continue
    const found = await look(hostRoot, hostPath.path)
    if (found === 'link' || (found !== 'nothing' && IS_KIND[kind](found))) continue
    return {
      status: 'False',
      reason: 'HostPathMissing',
      message: `volume ${name} is the node's own ${hostPath.path} (hostPath), and node ${node} has no such ${kind.toLowerCase()}; make it there as it is on the source node, or choose another destination`,
    }
  }
  return undefined
}

/** A link on the way is kubelet's to follow: an absolute one would lead out of the node's root here. */
async function look(hostRoot: string, path: string): Promise<Stats | 'link' | 'nothing'> {
  // Unlike the agent's own mount of the root this shows what was mounted on the node since.
  let place = join(hostRoot, 'proc/1/root/')
  let stats: Stats | undefined
  for (const part of ['.', ...path.split('/').filter(Boolean)]) {
    // Not join: it would take the dot away, and with it the look through proc's own link.
    place = `${place}/${part}`
    try {
      stats = await lstat(place)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return 'nothing'
      throw error
    }
    if (stats.isSymbolicLink()) return 'link'
  }
  return stats ?? 'nothing'
}
