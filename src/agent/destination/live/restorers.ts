/** The processes that make a container out of its checkpoint: the wrapper, runc and CRIU. None of them is in the pod's cgroup. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Waiting } from './staging.ts'

/** Whether that wrapper lives; another process that has got its ID meanwhile is not taken for it. */
export async function isAlive(hostRoot: string, { pid, containerID }: Waiting): Promise<boolean> {
  return (await commandLine(hostRoot, String(pid))).includes(containerID)
}

/**
 * runc of a restore, which names the staging folder among its arguments, and its CRIU, which stands in it. Looked for among
 * the processes of the node itself: what runs in a container has another mount namespace, whatever it calls itself.
 *
 * @param folder on the node: of a container, or of a pod
 */
export async function restorers(hostRoot: string, folder: string): Promise<number[]> {
  const proc = join(hostRoot, 'proc')
  const own = await readlink(join(proc, '1/ns/mnt')).catch(() => undefined)
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [place, standsIn, words] = await Promise.all([
        readlink(join(proc, pid, 'ns/mnt')).catch(() => undefined),
        readlink(join(proc, pid, 'cwd')).catch(() => ''),
        commandLine(hostRoot, pid),
      ])
      if (own === undefined || place !== own) return []
      const isRunc = words.includes('restore') && words.some((word) => word.startsWith(`${folder}/`))
      const isCriu = words.includes('swrk') && standsIn.startsWith(`${folder}/`)
      return isRunc || isCriu ? [Number(pid)] : []
    }),
  )
  return found.flat()
}

/** @returns those that were there; what they have begun meanwhile is found by the next call */
export async function killRestorers(hostRoot: string, folder: string): Promise<number[]> {
  const pids = await restorers(hostRoot, folder)
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  return pids
}

const commandLine = async (hostRoot: string, pid: string): Promise<string[]> =>
  (await readFile(join(hostRoot, 'proc', pid, 'cmdline'), 'utf8').catch(() => '')).split('\0')
