/** Whether a dump of a container is still under way, seen in the node's process list: the only witness after a crash. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 200

/** Resolves when no dump of the container runs on the node, whoever began it. */
export async function dumpEnded(hostRoot: string, containerID: string): Promise<void> {
  while (await isDumpRunning(hostRoot, containerID)) await delay(POLL_MS)
}

/** @returns true while a `runc checkpoint`, or a CRIU that works for it, names the container */
export async function isDumpRunning(hostRoot: string, containerID: string): Promise<boolean> {
  const proc = join(hostRoot, '/proc')
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    if (await dumps(join(proc, pid), containerID)) return true
  }
  return false
}

async function dumps(process: string, containerID: string): Promise<boolean> {
  // A process that ended while we looked does not dump.
  const argv = (await readFile(join(process, 'cmdline'), 'utf8').catch(() => '')).split('\0')
  if (argv.includes('checkpoint') && argv.includes(containerID)) return true
  // CRIU outlives a killed runc and overwrites its arguments with `criu: dump --rpc -t PID`; but it stands in its work
  // folder and has its images open.
  const name = (await readFile(join(process, 'comm'), 'utf8').catch(() => '')).trim()
  if (name !== 'criu') return false
  const links = [join(process, 'cwd')]
  for (const fd of await readdir(join(process, 'fd')).catch(() => [])) links.push(join(process, 'fd', fd))
  const targets = await Promise.all(links.map((link) => readlink(link).catch(() => '')))
  return targets.some((target) => target.includes(containerID))
}
