/** What a lab would leave on the machine; `down` must leave none of it. */

import { existsSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { hostLayout, LAB_CGROUP } from './cgroups.ts'
import { MACHINES, netnsPath, STATE } from './places.ts'

/** Each is followed by something: another lab's name may begin with this one's. */
const MARKS = [`${STATE}/`, ...MACHINES.map((machine) => `${netnsPath(machine)} `)]

/** @returns one line a thing left: state, mounts, network namespaces, control groups, processes. */
export async function labLeftovers(): Promise<string[]> {
  const found: string[] = []
  if (existsSync(STATE)) found.push(`folder ${STATE}`)
  for (const machine of MACHINES) if (existsSync(netnsPath(machine))) found.push(`network ${netnsPath(machine)}`)
  for (const { mountPoint } of (await hostLayout()).hierarchies)
    if (existsSync(join(mountPoint, LAB_CGROUP))) found.push(`control group ${join(mountPoint, LAB_CGROUP)}`)
  for (const line of (await readFile('/proc/mounts', 'utf8')).split('\n'))
    if (MARKS.some((mark) => line.includes(mark))) found.push(`mount ${line}`)
  return [...found, ...(await processesInLabMounts())]
}

/** Whatever its name and namespaces: a process whose root or working folder lies on a lab disk belongs to the lab. */
async function processesInLabMounts(): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')
    if (mounts.includes(`${STATE}/`)) found.push(`process ${pid} ${await readlink(`/proc/${pid}/exe`).catch(() => '')}`)
  }
  return found
}
