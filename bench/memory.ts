/** Resident memory of podferry's processes in the lab. */
import { setTimeout as sleep } from 'node:timers/promises'
import { node } from '../lab/cluster.ts'
import { NODES } from '../lab/places.ts'
import { pidsOn, type Victim } from '../lab/scenario/victims.ts'

/** @returns the largest resident set among a role's processes on both nodes, in megabytes */
export async function residentMegabytes(role: Victim): Promise<number> {
  const sizes = await Promise.all(
    NODES.map(async (name) => {
      const pids = await pidsOn(name, role)
      const statuses = await Promise.all(pids.map((pid) => node(name).exec(['cat', `/proc/${pid}/status`])))
      return statuses.map((status) => Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1000)
    }),
  )
  return Math.round(Math.max(...sizes.flat()))
}

/** Samples until `done` settles. @returns the peak in megabytes and what `done` gave */
export async function peakWhile<T>(role: Victim, done: Promise<T>): Promise<{ peak: number; result: T }> {
  let [peak, over] = [0, false]
  const end = () => {
    over = true
  }
  done.then(end, end)
  while (!over) {
    peak = Math.max(peak, await residentMegabytes(role))
    await sleep(200)
  }
  return { peak, result: await done }
}
