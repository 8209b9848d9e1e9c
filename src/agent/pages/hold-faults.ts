/**
 * A second hold on the userfaultfds of `criu lazy-pages`. When the last one closes, the kernel gives a process zeros for memory that has
 * not arrived: a daemon that is killed would let its program run on in spoilt memory until somebody has frozen it. As long as this
 * process holds them too, the program waits at such a page instead, and sees nothing but its end.
 */
import { closeSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { readPid } from '../jobs/job-files.ts'
import { sessionMembers } from '../jobs/processes.ts'
import type { TakeDescriptor } from './descriptors.ts'
import type { KeeperLog } from './log.ts'

export interface DaemonFiles {
  /** Of its job, as the keeper sees it. */
  pidFile: string
  exitFile: string
}

const USERFAULTFD = 'anon_inode:[userfaultfd]'
/** For so long a program may wait for a page that never was, when the daemon has ended well: it alone answers such a fault with zeros. */
const LOOK_MS = 10
/** The job writes its exit code right after the end of the daemon. */
const EXIT_MS = 1_000

/**
 * Resolves when there is nothing to hold any more, because the daemon has let go of all or has ended well. Does not resolve when it has
 * failed: the agent ends the program first, then this process.
 *
 * @throws Error when the kernel does not give them; then the daemon alone has them
 */
export async function holdFaults(
  { pidFile, exitFile }: DaemonFiles,
  take: TakeDescriptor,
  log: KeeperLog,
): Promise<void> {
  const held = new Map<string, number>()
  const letGo = (fd: string) => {
    const own = held.get(fd)
    if (own !== undefined) closeSync(own)
    held.delete(fd)
  }
  for (;;) {
    const daemon = await findDaemon(pidFile)
    if (daemon === undefined) break
    for (let open = await faultsOf(daemon); open !== undefined; open = await faultsOf(daemon)) {
      for (const fd of open) if (!held.has(fd)) held.set(fd, take(daemon, Number(fd)))
      // One by one as their processes are complete.
      for (const fd of held.keys()) if (!open.includes(fd)) letGo(fd)
      await delay(LOOK_MS)
    }
    if (held.size > 0) break
  }
  if (held.size === 0) return
  for (const end = Date.now() + EXIT_MS; ; await delay(LOOK_MS)) {
    const code = (await readFile(exitFile, 'utf8').catch(() => '')).trim()
    if (code === '0') break
    if (code === '' && Date.now() < end) continue
    log('the daemon has failed; its program waits where memory is missing', { code, held: held.size })
    return await new Promise(() => {})
  }
  for (const fd of held.keys()) letGo(fd)
}

/** @returns the process of the daemon's job that handles faults; undefined when the job has ended */
async function findDaemon(pidFile: string): Promise<number | undefined> {
  for (;;) {
    const job = await readPid({ pid: pidFile })
    const members = job === undefined ? [] : await sessionMembers(job)
    if (members.length === 0) return undefined
    for (const pid of members) if ((await faultsOf(pid))?.length) return pid
    await delay(LOOK_MS)
  }
}

/** @returns numbers of its userfaultfds; undefined when the process is ending: one that lives has a standard input */
async function faultsOf(pid: number): Promise<string[] | undefined> {
  const all: string[] = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(all.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return all.includes('0') ? all.filter((_, index) => links[index] === USERFAULTFD) : undefined
}
