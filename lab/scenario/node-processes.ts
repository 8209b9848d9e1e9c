/** Processes on a lab node, found and signalled from the host: no command has to start in between, so a blow lands within milliseconds. */
import { readdir } from 'node:fs/promises'
import { readIfThere } from '../files.ts'
import { initOf } from '../machine.ts'
import type { NodeName } from '../places.ts'
import { identityOf, isAlive, killHard, type ProcessIdentity, parentOf } from '../processes.ts'

/**
 * @param pattern of `NAME ARGUMENT ARGUMENT …`, as `ps -o comm,args` shows it
 * @returns those that come from the node's first process: its containers' and what its container runtime has started. (Cgroups do
 *   not tell: on version 1, containerd and its shims are in the host's own.)
 */
export async function processesOf(node: NodeName, pattern: RegExp): Promise<ProcessIdentity[]> {
  const init = await initOf(node)
  if (init === undefined) return []
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number)
  const meant = async (pid: number) => (await isMeant(pid, pattern)) && (await comesFrom(init.pid, pid))
  const found = await Promise.all(pids.map(async (pid) => ((await meant(pid)) ? [pid] : [])))
  const identities = await Promise.all(found.flat().map(identityOf))
  return identities.filter((identity) => identity !== undefined)
}

async function isMeant(pid: number, pattern: RegExp): Promise<boolean> {
  const words = await read(`/proc/${pid}/cmdline`)
  if (!words) return false
  const name = (await read(`/proc/${pid}/comm`))?.trim()
  return pattern.test(`${name} ${words.replaceAll('\0', ' ')}`)
}

async function comesFrom(ancestor: number, pid: number): Promise<boolean> {
  for (let current = pid; current > 1; ) {
    if (current === ancestor) return true
    const stat = await read(`/proc/${current}/stat`)
    if (stat === undefined) return false
    current = parentOf(stat)
  }
  return false
}

/** A process may end in the middle of a look at it. */
const read = (path: string): Promise<string | undefined> => readIfThere(path).catch(() => undefined)

/** SIGKILL. @returns how many were alive to get it */
export async function killAll(processes: readonly ProcessIdentity[]): Promise<number> {
  const alive: ProcessIdentity[] = []
  for (const one of processes) if (await isAlive(one)) alive.push(one)
  for (const { pid } of alive) killHard(pid)
  return alive.length
}
