/** The fence of one node: announcements, and the freezers of pods. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Claims, type Withdrawal } from './claim.ts'
import { type FreezerState, freeze, freezerState, killAll, thaw, thawWithin } from './freezer.ts'
import { cgroupName, memoryFile, type PodCgroup, podCgroupOf } from './pod-cgroup.ts'

export interface Fence {
  /** The pod's cgroup, found through its processes; undefined when it has none. */
  find(podUID: string): Promise<PodCgroup | undefined>
  /** @throws PodferryError `PodBusy` when another Migration has announced or frozen the pod */
  announce(cgroup: PodCgroup, migrationUID: string): Promise<void>
  withdraw(cgroup: PodCgroup, migrationUID: string): Promise<Withdrawal>
  /** Claims without the hook, before `freeze`. @throws PodferryError `PodBusy` as `announce` */
  claim(cgroup: PodCgroup, migrationUID: string): Promise<void>
  isClaimed(cgroup: PodCgroup, migrationUID: string): Promise<boolean>
  claimant(cgroup: PodCgroup): Promise<string | undefined>
  clear(cgroup: PodCgroup, migrationUID: string): Promise<void>
  state(cgroup: PodCgroup): Promise<FreezerState>
  isFrozen(cgroup: PodCgroup): Promise<boolean>
  /** Returns when every process of the pod stands still. @throws PodferryError `FreezeFailed` */
  freeze(cgroup: PodCgroup): Promise<void>
  /** Lets containers run that the OCI runtime has paused; no effect on the pod's own freezer. */
  thawWithin(cgroup: PodCgroup): Promise<void>
  /** Returns when the kernel says that the processes run. @throws PodferryError `ThawFailed` */
  thaw(cgroup: PodCgroup): Promise<void>
  /**
   * Ends processes without one more instruction, thawing all on the way.
   *
   * @param only IDs of containers. Default: every process of the pod
   * @throws PodferryError `KillFailed`
   */
  killAll(cgroup: PodCgroup, only?: readonly string[]): Promise<void>
  /** Bytes the pod's memory cgroup accounts now; undefined when the node does not say. */
  memoryBytes(cgroup: PodCgroup): Promise<number | undefined>
}

/** @param hostRoot where the node's root file system is seen; its /proc must show the node's processes */
export function createFence(hostRoot: string): Fence {
  const claims = new Claims(hostRoot)
  return {
    async find(podUID) {
      for (const pid of await readdir(join(hostRoot, '/proc'))) {
        if (!/^\d+$/.test(pid)) continue
        // Processes end while we look.
        const text = await readFile(join(hostRoot, '/proc', pid, 'cgroup'), 'utf8').catch(() => '')
        const cgroup = podCgroupOf(text, podUID)
        if (cgroup) return cgroup
      }
      return undefined
    },
    announce: (cgroup, uid) => claims.announce(cgroupName(cgroup), uid),
    withdraw: (cgroup, uid) => claims.withdraw(cgroupName(cgroup), uid),
    claim: (cgroup, uid) => claims.claim(cgroupName(cgroup), uid),
    isClaimed: (cgroup, uid) => claims.isClaimed(cgroupName(cgroup), uid),
    claimant: (cgroup) => claims.claimant(cgroupName(cgroup)),
    clear: (cgroup, uid) => claims.clear(cgroupName(cgroup), uid),
    state: (cgroup) => freezerState(hostRoot, cgroup),
    isFrozen: async (cgroup) => (await freezerState(hostRoot, cgroup)) === 'frozen',
    freeze: (cgroup) => freeze(hostRoot, cgroup),
    thawWithin: (cgroup) => thawWithin(hostRoot, cgroup),
    thaw: (cgroup) => thaw(hostRoot, cgroup),
    killAll: (cgroup, only) => killAll(hostRoot, cgroup, only),
    async memoryBytes(cgroup) {
      const text = await readFile(join(hostRoot, memoryFile(cgroup)), 'utf8').catch(() => '')
      return /^\d+\s*$/.test(text) ? Number(text) : undefined
    },
  }
}
