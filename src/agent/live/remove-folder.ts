/** Folders in which CRIU works, on their way out. */
import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PodferryError } from '../../errors.ts'
import type { NodeCommands } from '../install/node-commands.ts'
import { mountedBelow } from './mounts.ts'

export interface Mounting {
  node: NodeCommands
  /** The node's table of mounts: contents of its /proc/1/mounts. */
  mounts(): Promise<string>
}

const TIMEOUT_MS = 20_000

/**
 * Removes a folder with all that is in it, but nothing that is only mounted there: a CRIU that was killed leaves the node's cgroup
 * hierarchies mounted where it worked (`.criu.cgyard.*`), and what is deleted there is the node's. Nothing when there is none.
 *
 * @param folder absolute on the node
 * @throws PodferryError `NodeCommandFailed` when something stays mounted; then nothing is removed
 */
export async function removeFolder(hostRoot: string, folder: string, { node, mounts }: Mounting): Promise<void> {
  let said = ''
  for (const place of mountedBelow(await mounts(), folder)) {
    const { code, stderr } = await node.exec(['umount', '--lazy', place], { timeoutMs: TIMEOUT_MS })
    if (code !== 0) said ||= stderr.trim()
  }
  const [left] = mountedBelow(await mounts(), folder)
  if (left !== undefined) {
    const message = `${left} on the node stays mounted, so ${folder} cannot be removed${said && `: ${said}`}; umount it by hand`
    throw new PodferryError({ reason: 'NodeCommandFailed', message, retry: 'backoff' })
  }
  await unmountCopies(join(hostRoot, folder))
  await rm(join(hostRoot, folder), { recursive: true, force: true })
}

/**
 * In this process's own namespace. CRIU's mounts are private: of one that was there when the agent's container began, the container has
 * a copy, which stays when the node's is unmounted.
 */
async function unmountCopies(folder: string): Promise<void> {
  for (const place of mountedBelow(await readFile('/proc/self/mounts', 'utf8'), folder)) {
    await promisify(execFile)('umount', ['--lazy', place], { timeout: TIMEOUT_MS })
  }
}
