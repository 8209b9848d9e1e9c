/** The cgroup that jobs live in: beside kubepods, so that the end of the agent's container does not reach them. */
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const NAME = 'podferry'
const CGROUPS = '/sys/fs/cgroup'

export interface JobCgroup {
  /** Folder names under /sys/fs/cgroup at which the hierarchy may be mounted; '' is /sys/fs/cgroup itself. */
  mounts: readonly string[]
  /** Below the root of the hierarchy. */
  path: string
}

/**
 * @param procCgroup contents of the agent's own /proc/PID/cgroup
 * @returns `<parent of kubepods>/podferry` of every hierarchy in which the agent is below kubepods; none outside of a cluster
 */
export function jobCgroupsOf(procCgroup: string): JobCgroup[] {
  return procCgroup.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    const elements = path?.split('/') ?? []
    // kubepods, kubepods.slice, kubelet-kubepods.slice (kind).
    const kubepods = elements.findIndex((element) => /(^|-)kubepods(\.slice)?$/.test(element))
    if (controllers === undefined || kubepods < 0) return []
    return [{ mounts: mountsOf(controllers), path: [...elements.slice(0, kubepods), NAME].join('/') }]
  })
}

function mountsOf(controllers: string): string[] {
  // The one tree of version 2; beside version 1 it has a folder of its own.
  if (controllers === '') return ['unified', '']
  if (controllers.startsWith('name=')) return [controllers.slice('name='.length)]
  return [controllers, ...controllers.split(',')]
}

/**
 * Makes the cgroups that are missing.
 *
 * @returns the files, as this process sees them, into which a process writes itself
 */
export async function openJobCgroups(hostRoot: string, cgroups: readonly JobCgroup[]): Promise<string[]> {
  const files = cgroups.map(async (cgroup) => {
    const folder = await folderOf(hostRoot, cgroup)
    if (folder === undefined) return []
    await mkdir(folder, { recursive: true })
    // A new cpuset of version 1 is empty and takes no process.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) await inheritIfEmpty(folder, file)
    return [join(folder, 'cgroup.procs')]
  })
  return (await Promise.all(files)).flat()
}

async function folderOf(hostRoot: string, { mounts, path }: JobCgroup): Promise<string | undefined> {
  for (const mount of mounts) {
    const root = join(hostRoot, CGROUPS, mount)
    // The root of a hierarchy, not a plain folder of that name.
    const found = await stat(join(root, 'cgroup.procs')).catch(() => undefined)
    if (found) return join(root, path)
  }
  return undefined
}

async function inheritIfEmpty(folder: string, file: string): Promise<void> {
  const own = await readFile(join(folder, file), 'utf8').catch(() => undefined)
  // Version 2 has such files too, and there empty means inherited.
  if (own?.trim() !== '' || (await stat(join(folder, 'cgroup.type')).catch(() => undefined))) return
  await writeFile(join(folder, file), await readFile(join(folder, '..', file), 'utf8'))
}

/** Takes the cgroups away where no job is in them any more. */
export async function removeJobCgroups(hostRoot: string, cgroups: readonly JobCgroup[]): Promise<void> {
  for (const cgroup of cgroups) {
    const folder = await folderOf(hostRoot, cgroup)
    if (folder === undefined) continue
    await rmdir(folder).catch((error) => {
      if (!['EBUSY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    })
  }
}
