/** Processes as /proc shows them. The agent's pod has hostPID: true, so these are the node's. */
import { readdir, readFile } from 'node:fs/promises'

export interface ProcessStat {
  pid: number
  /** Process ID of the session's leader. */
  session: number
  /** Clock ticks since boot; with the ID it names one process for ever. */
  startTime: number
  /** Has ended already; only its parent has not asked yet. */
  zombie: boolean
}

/** @returns undefined when there is no such process */
export async function statOf(pid: number): Promise<ProcessStat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : parseStat(text)
}

/** @param text contents of /proc/PID/stat, see proc(5) */
export function parseStat(text: string): ProcessStat {
  // The name in brackets may hold anything, brackets and spaces too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    pid: Number.parseInt(text, 10),
    session: Number(fields[3]),
    startTime: Number(fields[19]),
    zombie: fields[0] === 'Z' || fields[0] === 'X',
  }
}

/** Living processes of a session, the leader and all that it has begun, also when the leader is gone. */
export async function sessionMembers(leader: Pick<ProcessStat, 'pid' | 'startTime'>): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const stats = await Promise.all(pids.map((pid) => statOf(Number(pid))))
  const session = stats.filter((stat) => stat !== undefined && stat.session === leader.pid && !stat.zombie)
  // The kernel gives an ID to nobody else while a session bears it; a leader with another start time is a later one's.
  const successor = stats.find((stat) => stat?.pid === leader.pid && stat.startTime !== leader.startTime)
  return successor ? [] : session.flatMap((stat) => stat?.pid ?? [])
}
