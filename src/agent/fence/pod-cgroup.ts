/** Where a pod's cgroup is, under any driver and version. Pure: works on the text of /proc/PID/cgroup. */

export interface PodCgroup {
  /** Of the hierarchy that freezes: 1 where a version 1 freezer is mounted (hybrid too), else 2. */
  version: 1 | 2
  /** Below the root of the hierarchy that freezes, for instance /kubepods/burstable/pod<UID>. */
  path: string
  /** Below the root of the hierarchy that accounts memory. */
  memoryPath: string
}

/**
 * The pod's cgroup, from one of its processes. The path is never built: kind and others put prefixes of their own before it.
 *
 * @param procCgroup contents of /proc/PID/cgroup
 * @returns undefined when the process is not of that pod
 */
export function podCgroupOf(procCgroup: string, podUID: string): PodCgroup | undefined {
  const lines = procCgroup.split('\n').flatMap((line) => {
    const [, id, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    return id === undefined || controllers === undefined || path === undefined
      ? []
      : [{ id, controllers: controllers.split(','), path }]
  })
  const unified = lines.find(({ id }) => id === '0')
  const freezer = lines.find(({ controllers }) => controllers.includes('freezer'))
  const memory = lines.find(({ controllers }) => controllers.includes('memory')) ?? unified
  const path = upToPod((freezer ?? unified)?.path, podUID)
  if (path === undefined) return undefined
  return { version: freezer ? 1 : 2, path, memoryPath: upToPod(memory?.path, podUID) ?? path }
}

function upToPod(path: string | undefined, podUID: string): string | undefined {
  const elements = path?.split('/') ?? []
  const pod = elements.findIndex((element) => isPodElement(element, podUID))
  // Paths out of the reader's own cgroup namespace begin with /..: nothing could be written there.
  if (pod < 0 || elements.includes('..')) return undefined
  return elements.slice(0, pod + 1).join('/')
}

function isPodElement(element: string, podUID: string): boolean {
  const slice = `pod${podUID.replaceAll('-', '_')}.slice`
  return element === `pod${podUID}` || element === slice || element.endsWith(`-${slice}`)
}

/** The pod cgroup's own name: what the announcement is called. */
export const cgroupName = ({ path }: PodCgroup): string => path.slice(path.lastIndexOf('/') + 1)

/** The folder of the pod in the hierarchy that freezes, from the root of the file system. */
export const freezerFolder = ({ version, path }: PodCgroup): string =>
  version === 1 ? `/sys/fs/cgroup/freezer${path}` : `/sys/fs/cgroup${path}`

/** The file with the memory the pod uses now, in bytes. */
export const memoryFile = ({ version, memoryPath }: PodCgroup): string =>
  version === 1
    ? `/sys/fs/cgroup/memory${memoryPath}/memory.usage_in_bytes`
    : `/sys/fs/cgroup${memoryPath}/memory.current`
