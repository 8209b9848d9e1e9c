/** Processes on a lab node, found and signalled from the host: no command has to start in between, so a blow lands within milliseconds. */
import { readdir } from 'node:fs/promises'
import { cgroupOf } from '../cgroups.ts'
import { readIfThere } from '../files.ts'
import type { NodeName } from '../places.ts'
import { identityOf, isAlive, killHard, type ProcessIdentity } from '../processes.ts'

/**
 * @param pattern of `NAME ARGUMENT ARGUMENT …`, as `ps -o comm,args` shows it
 * @returns those in the node's cgroup, its containers included
 */
export async function processesOf(node: NodeName, pattern: RegExp): Promise<ProcessIdentity[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const found = await Promise.all(pids.map(async (pid) => ((await isMeant(node, pid, pattern)) ? [Number(pid)] : [])))
  const identities = await Promise.all(found.flat().map(identityOf))
  return identities.filter((identity) => identity !== undefined)
}

async function isMeant(node: NodeName, pid: string, pattern: RegExp): Promise<boolean> {
  const words = await read(`/proc/${pid}/cmdline`)
  if (!words) return false
  const name = (await read(`/proc/${pid}/comm`))?.trim()
  if (!pattern.test(`${name} ${words.replaceAll('\0', ' ')}`)) return false
  return (await read(`/proc/${pid}/cgroup`))?.split('\n').some((line) => isBelow(line, cgroupOf(node))) ?? false
}

/** @param cgroup below the root of its hierarchy, without leading slash */
const isBelow = (line: string, cgroup: string): boolean => `${line}/`.includes(`/${cgroup.replace(/^\//, '')}/`)

/** A process may end in the middle of a look at it. */
const read = (path: string): Promise<string | undefined> => readIfThere(path).catch(() => undefined)

/** SIGKILL. @returns how many were alive to get it */
export async function killAll(processes: readonly ProcessIdentity[]): Promise<number> {
  const alive: ProcessIdentity[] = []
  for (const one of processes) if (await isAlive(one)) alive.push(one)
  for (const { pid } of alive) killHard(pid)
  return alive.length
}
