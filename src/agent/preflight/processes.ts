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
  const pids = await pidsIn(join(hostRoot, freezerFolder(cgroup)))
  const processes = await Promise.all(pids.map((pid) => viewProcess(hostRoot, pid)))
  const [first] = pids
  return {
    processes,
    // One network namespace for all containers of a pod.
    mptcpSockets: first === undefined ? 0 : await mptcpSockets(hostRoot, first),
    externalUnixSockets: first === undefined ? [] : await externalUnixSockets(node, first),
  }
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
    readdir(join(folder, 'fd')).catch(() => []),
  ])
  const files = await Promise.all(fds.map((fd) => viewFile(join(folder, 'fd', fd))))
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
async function externalUnixSockets(node: NodeCommands, pid: number): Promise<number[]> {
  const ask = async () => {
    const argv = ['nsenter', '-t', String(pid), '-n', 'ss', '-xanH']
    const { code, stdout } = await node.exec(argv, { timeoutMs: TIMEOUT_MS })
    return code === 0 ? externalPairs(stdout) : []
  }
  const found = await ask()
  if (found.length === 0) return []
  // The list is no snapshot: of a connection that ends while it is made, only one end may be seen.
  const again = new Set(await ask())
  return found.filter((pair) => again.has(pair)).map((pair) => Number(pair.split(' ')[0]))
}

/**
 * @param listing of `ss -xanH`: kind, state, two queues, address and inode of the socket, address and inode of its peer
 * @returns `inode peer` of the sockets whose peer is in another network namespace
 */
export function externalPairs(listing: string): string[] {
  const rows = listing.split('\n').flatMap((line) => {
    const [, inode, peer] = /\s(\d+)\s+\S+\s+(\d+)\s*$/.exec(line) ?? []
    return inode === undefined || peer === undefined ? [] : [{ inode, peer }]
  })
  const own = new Set(rows.map(({ inode }) => inode))
  return rows.filter(({ peer }) => peer !== '0' && !own.has(peer)).map(({ inode, peer }) => `${inode} ${peer}`)
}
