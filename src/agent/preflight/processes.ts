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
  const [ownsLimits, ...processes] = await Promise.all([
    hasResourceCapability(hostRoot),
    ...pids.map((pid) => viewProcess(hostRoot, pid)),
  ])
  const [first] = pids
  if (first === undefined) return { processes, mptcpSockets: 0, pairs: [], ownsLimits }
  const own = new Set(processes.flatMap(({ files }) => files.map(({ target }) => target)))
  // One network namespace for all containers of a pod.
  const [sockets, pairs] = await Promise.all([mptcpSockets(hostRoot, first), externalPairs(node, first, own)])
  return { processes, mptcpSockets: sockets, pairs, ownsLimits }
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
  const [command, status, fds] = await Promise.all([
    readFile(join(folder, 'comm'), 'utf8').catch(() => ''),
    readFile(join(folder, 'status'), 'utf8').catch(() => ''),
    readdir(join(folder, 'fd')).catch((): string[] => []),
  ])
  const files = await Promise.all(fds.sort().map((fd) => viewFile(join(folder, 'fd', fd))))
  // Real, effective, saved and that of the file system.
  const isForeign = /^[UG]id:.*[1-9]/m.test(status)
  return { pid, command: command.trim(), isForeign, files: files.filter((file) => file !== undefined) }
}

const CAP_SYS_RESOURCE = 24n

/** Of the node's first process, whose bounds hold for everything on the node. Where it cannot be read CRIU will tell. */
async function hasResourceCapability(hostRoot: string): Promise<boolean> {
  const status = await readFile(join(hostRoot, 'proc/1/status'), 'utf8').catch(() => '')
  const [, bounds] = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status) ?? []
  return bounds === undefined || ((BigInt(`0x${bounds}`) >> CAP_SYS_RESOURCE) & 1n) === 1n
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
