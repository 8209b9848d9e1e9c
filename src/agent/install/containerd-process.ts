/** Which process of the node is its containerd, and how it was started: found by the socket on which it listens. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { PodferryError } from '../../errors.ts'

const DEFAULT_CONFIG = '/etc/containerd/config.toml'
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** Flag of a listening socket in /proc/net/unix (__SO_ACCEPTCON). */
const LISTENING = '00010000'

export interface ContainerdProcess {
  /** In the node's own numbers. */
  pid: number
  /** On the node. */
  configFile: string
  /** Where it and its shims look for programs. */
  path: string
  /** The systemd unit that keeps it; undefined when something else does. */
  unit: string | undefined
}

/**
 * @param socket as containerd was told it, on the node
 * @throws PodferryError `ContainerdNotFound`
 */
export async function findContainerd(hostRoot: string, socket: string): Promise<ContainerdProcess> {
  const proc = join(hostRoot, 'proc')
  const inode = await listeningInode(proc, socket)
  const pids = inode === undefined ? [] : (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const argv = (await readFile(join(proc, pid, 'cmdline'), 'utf8').catch(() => '')).split('\0')
    // systemd may hold the socket too.
    if (!basename(argv[0] ?? '').startsWith('containerd') || !(await holds(join(proc, pid), `socket:[${inode}]`)))
      continue
    const [environment, groups, init] = await Promise.all(
      [`${pid}/environ`, `${pid}/cgroup`, '1/comm'].map((file) => readFile(join(proc, file), 'utf8').catch(() => '')),
    )
    return {
      pid: Number(pid),
      configFile: configFlag(argv) ?? DEFAULT_CONFIG,
      path:
        environment
          ?.split('\0')
          .find((entry) => entry.startsWith('PATH='))
          ?.slice(5) || DEFAULT_PATH,
      unit: init?.trim() === 'systemd' ? /\/([^/\n]+\.service)$/m.exec(groups ?? '')?.[1] : undefined,
    }
  }
  throw new PodferryError({
    reason: 'ContainerdNotFound',
    message: `no containerd listens on ${socket} of the node; is this its socket (--runtime-socket)?`,
    retry: 'afterChange',
  })
}

async function listeningInode(proc: string, socket: string): Promise<string | undefined> {
  // Of process 1: the reader's own network may be another one.
  const table = await readFile(join(proc, '1/net/unix'), 'utf8').catch(() => '')
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/))
  return rows.find((row) => row[3] === LISTENING && row[7] === socket)?.[6]
}

async function holds(process: string, target: string): Promise<boolean> {
  for (const fd of await readdir(join(process, 'fd')).catch(() => [])) {
    if ((await readlink(join(process, 'fd', fd)).catch(() => '')) === target) return true
  }
  return false
}

function configFlag(argv: readonly string[]): string | undefined {
  for (const [index, word] of argv.entries()) {
    const [, joined] = /^--?(?:c|config)=(.+)$/.exec(word) ?? []
    if (joined !== undefined) return joined
    if (/^--?(c|config)$/.test(word)) return argv[index + 1]
  }
  return undefined
}
