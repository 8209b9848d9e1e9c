/** Which processes are ours: told by recorded identity, namespaces and cgroups, never by name. */
import { readdir, readlink, stat } from 'node:fs/promises'
import { readIfThere } from './files.ts'

/** A process number alone may be reused; with its start time (clock ticks since boot) it may not. */
export interface ProcessIdentity {
  pid: number
  startTime: string
}

/** @param line the content of `/proc/PID/stat` (the second field may hold spaces and parentheses). */
export function parseStat(line: string): ProcessIdentity & { state: string } {
  const rest = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return { pid: Number.parseInt(line, 10), state: rest[0] ?? '', startTime: rest[19] ?? '' }
}

/** @param line as for `parseStat`. */
export function parentOf(line: string): number {
  return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1])
}

/** @returns whether exactly this process still runs. A zombie does not, once its other threads are gone: until then they hold its sockets. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const line = await readIfThere(`/proc/${identity.pid}/stat`)
  if (line === undefined) return false
  const now = parseStat(line)
  if (now.startTime !== identity.startTime) return false
  if (now.state !== 'Z') return true
  return (await readdir(`/proc/${identity.pid}/task`).catch(() => [])).length > 1
}

export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  const line = await readIfThere(`/proc/${pid}/stat`)
  return line === undefined ? undefined : parseStat(line)
}

async function allPids(): Promise<number[]> {
  const entries = await readdir('/proc')
  return entries.filter((name) => /^\d+$/.test(name)).map(Number)
}

/** @returns the processes whose network namespace is the one mounted at `path`; none where it is not there. */
export async function pidsInNetns(path: string): Promise<number[]> {
  const wanted = await stat(path).catch(() => undefined)
  if (wanted === undefined) return []
  const found: number[] = []
  for (const pid of await allPids()) {
    const link = await readlink(`/proc/${pid}/ns/net`).catch(() => '')
    if (link === `net:[${wanted.ino}]`) found.push(pid)
  }
  return found
}

/** SIGKILL; a process that is gone already is what was wanted. */
export function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
