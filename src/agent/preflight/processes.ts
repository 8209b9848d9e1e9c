/** Reads what `judge` looks at: the /proc of a pod's processes, and the kernel's list of its UNIX sockets. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { freezerFolder, type PodCgroup } from '../fence/pod-cgroup.ts'
import type { NodeCommands } from '../install/node-commands.ts'
import type { OpenFile, PodView, ProcessView } from './judge.ts'

const TIMEOUT_MS = 5_000

/**
 * @param hostRoot its /proc must show the node's processes
 * @returns an empty view of a pod that has no process any more; what ends while we look is left out
 */
export async function viewPod(hostRoot: string, node: NodeCommands, cgroup: PodCgroup): Promise<PodView> {
  const look = () => viewOnce(hostRoot, node, cgroup)
  const { pairs, ...view } = await look()
  // Processes and sockets are read one after the other: a connection that comes or goes meanwhile may show one end only.
  const again = pairs.length === 0 ? [] : (await look()).pairs
  return { ...view, externalUnixSockets: pairs.filter((pair) => again.includes(pair)).map(Number.parseFloat) }
}

async function viewOnce(hostRoot: string, node: NodeCommands, cgroup: PodCgroup) {
  const pids = await pidsIn(join(hostRoot, freezerFolder(cgroup)))
  const processes = await Promise.all(pids.map((pid) => viewProcess(hostRoot, pid)))
  const [first] = pids
  if (first === undefined) return { processes, mptcpSockets: 0, pairs: [] }
  const own = new Set(processes.flatMap(({ files }) => files.map(({ target }) => target)))
  // One network namespace for all containers of a pod.
  return { processes, mptcpSockets: await mptcpSockets(hostRoot, first), pairs: await externalPairs(node, first, own) }
}

async function pidsIn(folder: string): Promise<number[]> {
  const [own, entries] = await Promise.all([
    readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => ''),
    readdir(folder, { withFileTypes: true }).catch(() => []),
  ])
  const below = await Promise.all(entries.filter((e) => e.isDirectory()).map((e) => pidsIn(join(folder, e.name))))
  return [...own.split('\n').filter(Boolean).map(Number), ...below.flat()]
}

async function viewProcess(hostRoot: string, pid: number): Promise<ProcessView> {
  const folder = join(hostRoot, 'proc', String(pid))
  const [command, fds] = await Promise.all([
    readFile(join(folder, 'comm'), 'utf8').catch(() => ''),
    readdir(join(folder, 'fd')).catch((): string[] => []),
  ])
  const files = await Promise.all(fds.sort().map((fd) => viewFile(join(folder, 'fd', fd))))
  return { pid, command: command.trim(), files: files.filter((file) => file !== undefined) }
}

async function viewFile(path: string): Promise<OpenFile | undefined> {
  const target = await readlink(path).catch(() => undefined)
  if (target === undefined) return undefined
  if (!target.startsWith('/dev/')) return { target }
  const kind = await stat(path).catch(() => undefined)
  return { target, isDevice: kind !== undefined && (kind.isCharacterDevice() || kind.isBlockDevice()) }
}

/** The third column counts the sockets of the network namespace; -1 where the kernel does not count. */
async function mptcpSockets(hostRoot: string, pid: number): Promise<number> {
  const text = await readFile(join(hostRoot, 'proc', String(pid), 'net/protocols'), 'utf8').catch(() => '')
  const counts = [...text.matchAll(/^MPTCP(?:v6)?\s+\d+\s+(-?\d+)/gm)].map(([, count]) => Number(count))
  return counts.reduce((sum, count) => sum + Math.max(0, count), 0)
}

/** /proc does not tell who is at the other end, sock_diag does: `ss` asks it. A node without `ss` leaves it to CRIU to refuse. */
async function externalPairs(node: NodeCommands, pid: number, own: ReadonlySet<string>): Promise<string[]> {
  const argv = ['nsenter', '-t', String(pid), '-n', 'ss', '-xanH']
  const { code, stdout } = await node.exec(argv, { timeoutMs: TIMEOUT_MS })
  return code === 0 ? externalIn(stdout, own) : []
}

/**
 * The kernel counts a connection's far end to the network namespace of whoever has connected: only who holds it tells.
 * One that nobody has accepted yet has no inode.
 *
 * @param listing of `ss -xanH`: kind, state, two queues, address and inode of the socket, address and inode of its peer
 * @param own what the pod's processes have open, `socket:[7]` among it
 * @returns `inode peer` of the pod's sockets whose peer no process of the pod holds
 */
export function externalIn(listing: string, own: ReadonlySet<string>): string[] {
  return listing.split('\n').flatMap((line) => {
    const [, inode, peer] = /\s(\d+)\s+\S+\s+(\d+)\s*$/.exec(line) ?? []
    const external = peer !== '0' && own.has(`socket:[${inode}]`) && !own.has(`socket:[${peer}]`)
    return external ? [`${inode} ${peer}`] : []
  })
}
