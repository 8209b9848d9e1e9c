/** What the nodes hold, counted: what must not grow however many pods have come and gone. */
import { cgroupOf } from '../cgroups.ts'
import { node } from '../cluster.ts'
import { NODES, type NodeName } from '../places.ts'
import { pidsOn } from './victims.ts'

/** Shell words that print one number; `$1` is the node's own cgroup, `$2` the agent's process. */
const COUNTS: Record<string, string> = {
  'files of podferry, /run': 'find /run/podferry -mindepth 1 | wc -l',
  'files of podferry, /var/lib': 'find /var/lib/podferry -mindepth 1 | wc -l',
  'files of pods': 'find /var/lib/kubelet/pods /var/log/pods /var/log/containers -xdev | wc -l',
  'files of containerd, /run': 'find /run/containerd -xdev | wc -l',
  'snapshots of containerd': 'ls /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots | wc -l',
  'temporary files': 'find /tmp /var/tmp /dev/shm -xdev -mindepth 1 | wc -l',
  processes: 'ls -d /proc/[0-9]* | wc -l',
  mounts: 'wc -l < /proc/1/mountinfo',
  'mounts the agent sees': 'wc -l < "/proc/$2/mountinfo"',
  'descriptors of the agent': 'ls "/proc/$2/fd" | wc -l',
  cgroups: 'find /sys/fs/cgroup -type d -path "*$1/*" | wc -l',
  'network namespaces': 'ls /run/netns | wc -l',
  'network links': 'ip -o link | wc -l',
  routes: 'ip route | wc -l',
  'reserved addresses': 'find /var/lib/cni/networks -type f -name "*.*.*" | wc -l',
}

const SCRIPT = Object.values(COUNTS).join('\n')

export interface Inventory {
  /** By node and sentence. */
  counts: Record<NodeName, Record<string, number>>
  /** Resident memory in megabytes by role, of each of its processes. */
  megabytes: Record<string, number>
}

/** Counts everything on both nodes, as it is now. */
export async function inventory(): Promise<Inventory> {
  const megabytes: Inventory['megabytes'] = {}
  const counts = {} as Inventory['counts']
  for (const name of NODES) {
    for (const role of ['agent', 'controller', 'event-handler'] as const) {
      for (const pid of await pidsOn(name, role)) {
        const status = await node(name).exec(['cat', `/proc/${pid}/status`])
        megabytes[`${role} on ${name}`] = Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024)
      }
    }
    const [agent = ''] = await pidsOn(name, 'agent')
    const lines = (await node(name).exec(['sh', '-c', SCRIPT, 'sh', cgroupOf(name), agent])).trim().split('\n')
    counts[name] = Object.fromEntries(Object.keys(COUNTS).map((what, index) => [what, Number(lines[index])]))
  }
  return { counts, megabytes }
}
