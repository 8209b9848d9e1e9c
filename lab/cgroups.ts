/** Where the machine's control groups are and what the lab needs in them. All but the last section is pure. */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, sleep } from './files.ts'
import { LabError } from './lab-error.ts'
import type { NodeName } from './places.ts'
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
export const LAB_CGROUP = '/podferry-lab'

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

/**
 * What must be written, in this order, before a kubelet may use `group` of a hierarchy.
 * Version 1's cpuset refuses tasks until cpus and mems are filled; version 2 hands controllers down level by level.
 * `inherit` copies the value that the same file has one level up.
 */
export function preparation(
  layout: CgroupLayout,
  hierarchy: Hierarchy,
  group: string,
): { folder: string; file?: string; write?: string; inherit?: boolean }[] {
  const names = group.split('/').filter((name) => name !== '')
  const levels = names.map((_, depth) => join(hierarchy.mountPoint, ...names.slice(0, depth + 1)))
  if (layout.version === 2) {
    const write = '+cpu +cpuset +memory +pids +io'
    const parents = [hierarchy.mountPoint, ...levels]
    return [
      ...levels.flatMap((folder, depth) => [
        { folder: parents[depth] ?? folder, file: 'cgroup.subtree_control', write },
        { folder },
      ]),
      { folder: levels.at(-1) ?? hierarchy.mountPoint, file: 'cgroup.subtree_control', write },
    ]
  }
  if (!hierarchy.option.split(',').includes('cpuset')) return levels.map((folder) => ({ folder }))
  return levels.flatMap((folder) => [
    { folder },
    { folder, file: 'cpuset.cpus', inherit: true },
    { folder, file: 'cpuset.mems', inherit: true },
  ])
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
      if (step.file === undefined) continue
      const content = step.inherit ? await readFile(join(step.folder, '..', step.file), 'utf8') : (step.write ?? '')
      await writeFile(join(step.folder, step.file), content)
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
