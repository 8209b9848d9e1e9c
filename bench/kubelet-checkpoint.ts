/** A checkpoint as anybody may ask the kubelet for one. */
import { kubectl } from '../lab/cluster.ts'

/** @returns the archive's path on node 1 */
export async function kubeletCheckpoint(pod: string): Promise<string> {
  const path = `/api/v1/nodes/node-1/proxy/checkpoint/default/${pod}/main`
  const { items } = JSON.parse(await kubectl(['create', '--raw', path, '-f', '/dev/null'])) as { items: string[] }
  return items[0] ?? ''
}
