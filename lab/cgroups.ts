/** Where the machine's control groups are and what the lab needs in them. All but the last section is pure. */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, sleep } from './files.ts'
import { LabError } from './lab-error.ts'
import { LAB_NAME, type NodeName } from './places.ts'
import { killHard } from './processes.ts'

export interface Hierarchy {
  /** What `mount -o` wants for this hierarchy: `memory`, `cpu,cpuacct`, `name=systemd`; empty on version 2. */
  option: string
  /** Its folder's name below /sys/fs/cgroup inside a node; empty on version 2. */
  folder: string
  /** Where the host has it mounted. */
  mountPoint: string
}

export interface CgroupLayout {
  version: 1 | 2
  hierarchies: Hierarchy[]
}

/** Top group of all the lab's groups. */
export const LAB_CGROUP = `/${LAB_NAME}`

/** The kubelet's `cgroupRoot`: one a node, else the kubelets remove each other's groups. */
export function cgroupOf(node: NodeName): string {
  return `${LAB_CGROUP}/${node}`
}

const NO_CONTROLLER = new Set([
  'rw',
  'ro',
  'relatime',
  'noatime',
  'nosuid',
  'nodev',
  'noexec',
  'xattr',
  'clone_children',
])

/**
 * Reads the layout from the text of `/proc/mounts`.
 * A version 2 hierarchy beside version 1 controllers (hybrid) has no controllers, so kubelet and runc work on version 1 there.
 * @throws LabError when no cgroup file system is mounted, or version 1 lacks a controller that the kubelet needs.
 */
export function readLayout(mounts: string): CgroupLayout {
  const version1: Hierarchy[] = []
  let unified: string | undefined
  for (const line of mounts.split('\n')) {
    const [, mountPoint = '', type, options = ''] = line.split(' ')
    if (type === 'cgroup2') unified ??= mountPoint
    if (type !== 'cgroup') continue
    const option = options
      .split(',')
      .filter((word) => !NO_CONTROLLER.has(word) && !word.startsWith('release_agent='))
      .join(',')
    if (version1.some((known) => known.option === option)) continue
    version1.push({ option, folder: option.replace('name=', ''), mountPoint })
  }
  const controllers = new Set(version1.flatMap((hierarchy) => hierarchy.option.split(',')))
  if (controllers.has('memory')) {
    const missing = ['cpu', 'cpuacct', 'cpuset', 'freezer', 'pids'].filter((name) => !controllers.has(name))
    if (missing.length > 0) throw new LabError(`cgroup version 1 lacks ${missing.join(', ')}: mount these controllers`)
    return { version: 1, hierarchies: version1 }
  }
  if (unified === undefined) throw new LabError('no cgroup file system is mounted: mount one at /sys/fs/cgroup')
  return { version: 2, hierarchies: [{ option: '', folder: '', mountPoint: unified }] }
}

export interface PreparationStep {
  /** Created if it is not there. */
  folder: string
  /** Copy what these files hold one level up: version 1's cpuset takes no task before they are filled. */
  inherit?: readonly string[]
  /** Hand all wanted controllers that are to be had down to the groups below: version 2 does so level by level. */
  delegate?: true
}

/** What must be done, in this order, before a kubelet may use `group` of a hierarchy. */
export function preparation(layout: CgroupLayout, hierarchy: Hierarchy, group: string): PreparationStep[] {
  const names = group.split('/').filter((name) => name !== '')
  const levels = names.map((_, depth) => join(hierarchy.mountPoint, ...names.slice(0, depth + 1)))
  if (layout.version === 2)
    return [hierarchy.mountPoint, ...levels].map((folder) => ({ folder, delegate: true as const }))
  const isCpuset = hierarchy.option.split(',').includes('cpuset')
  return levels.map((folder) => ({ folder, ...(isCpuset ? { inherit: ['cpuset.cpus', 'cpuset.mems'] } : {}) }))
}

const WANTED_CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids']

/** @param available the text of `cgroup.controllers`. @returns what to write to `cgroup.subtree_control`. */
export function delegation(available: string): string {
  const have = available.trim().split(/\s+/)
  return WANTED_CONTROLLERS.filter((name) => have.includes(name))
    .map((name) => `+${name}`)
    .join(' ')
}

/** Which file lifts a freeze in this hierarchy, and what to write; undefined where nothing can be frozen. */
export function thawing(layout: CgroupLayout, hierarchy: Hierarchy): { file: string; write: string } | undefined {
  if (layout.version === 2) return { file: 'cgroup.freeze', write: '0' }
  if (hierarchy.option.split(',').includes('freezer')) return { file: 'freezer.state', write: 'THAWED' }
  return undefined
}

export async function hostLayout(): Promise<CgroupLayout> {
  return readLayout(await readFile('/proc/mounts', 'utf8'))
}

/** Creates a node's groups in every hierarchy; what is there already stays. */
export async function prepareNodeCgroups(layout: CgroupLayout, node: NodeName): Promise<void> {
  for (const hierarchy of layout.hierarchies)
    for (const step of preparation(layout, hierarchy, cgroupOf(node))) {
      await mkdir(step.folder, { recursive: true })
      for (const file of step.inherit ?? [])
        await writeFile(join(step.folder, file), await readFile(join(step.folder, '..', file), 'utf8'))
      if (step.delegate) await delegate(step.folder)
    }
}

async function delegate(folder: string): Promise<void> {
  const words = delegation(await readFile(join(folder, 'cgroup.controllers'), 'utf8'))
  try {
    await writeFile(join(folder, 'cgroup.subtree_control'), words)
  } catch (cause) {
    const message = `cannot write ${words} to ${folder}/cgroup.subtree_control: the group has processes of its own (move them into a group below it)`
    throw new LabError(message, { cause })
  }
}

/** @returns a group's folder and all below it, parents first. */
async function groupsBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => groupsBelow(join(folder, entry.name))),
  )
  return [folder, ...below.flat()]
}

/**
 * Thaws, kills and removes everything in a group. A frozen process of version 1 does not even die of SIGKILL, so
 * thawing comes first and again in each round (a kubelet or agent that still dies may have frozen once more).
 * @throws LabError when groups are left after ten seconds.
 */
export async function removeCgroup(layout: CgroupLayout, group: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (true) {
    let left = 0
    for (const hierarchy of layout.hierarchies) {
      const folders = await groupsBelow(join(hierarchy.mountPoint, group))
      const thaw = thawing(layout, hierarchy)
      for (const folder of folders) {
        if (thaw !== undefined) await writeFile(join(folder, thaw.file), thaw.write).catch(() => {})
        const pids = (await readIfThere(join(folder, 'cgroup.procs'))) ?? ''
        for (const pid of pids.split('\n')) if (Number(pid) > 0) killHard(Number(pid))
      }
      for (const folder of folders.reverse())
        await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') left += 1
        })
    }
    if (left === 0) return
    if (Date.now() > deadline) throw new LabError(`${left} control groups below ${group} cannot be removed`)
    await sleep(50)
  }
}
