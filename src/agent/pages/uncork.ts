/**
 * CRIU corks its connections for good: the kernel holds back what does not fill a packet for 0.2 s, the last words of either side too.
 * Two such words stand between the last page and the end of a move.
 */
import { closeSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { readPid } from '../jobs/job-files.ts'
import { sessionMembers } from '../jobs/processes.ts'
import type { Descriptors } from './descriptors.ts'
import { peerOf } from './local-peer.ts'
import type { KeeperLog } from './log.ts'

/**
 * Takes the cork from CRIU's end of a connection. Without that all goes on, only later: what keeps it from happening is logged.
 *
 * @param socket our end; CRIU has spoken, so its cork is in place
 * @param pidFile of the job in which CRIU runs, as this process sees it
 */
export async function uncork(
  socket: Socket,
  pidFile: string,
  descriptors: Promise<Descriptors>,
  log: KeeperLog,
): Promise<void> {
  try {
    const [peer, job, { take, uncork: release }] = await Promise.all([
      peerOf(socket),
      readPid({ pid: pidFile }),
      descriptors,
    ])
    const found = peer && job && (await findDescriptor(await sessionMembers(job), `socket:[${peer.inode}]`))
    if (!found) return log('nobody was found at the other end of the local connection', { inode: peer?.inode })
    const own = take(found.pid, found.fd)
    try {
      release(own)
    } finally {
      closeSync(own)
    }
  } catch (error) {
    log('CRIU holds back its last words', { reason: error instanceof Error ? error.message : String(error) })
  }
}

async function findDescriptor(pids: readonly number[], link: string): Promise<{ pid: number; fd: number } | undefined> {
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      if (target === link) return { pid, fd: Number(fd) }
    }
  }
  return undefined
}
