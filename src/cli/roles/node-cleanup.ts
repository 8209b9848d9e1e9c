/** `podferry node-cleanup`: what the agent has put on its node is taken away, before podferry is. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { FENCE_FOLDER } from '../../agent/fence/claim.ts'
import { uninstall } from '../../agent/install/install.ts'
import { JOURNAL_FOLDER } from '../../agent/journal.ts'
import { PodferryError } from '../../errors.ts'

const FOLDERS = ['/var/lib/podferry', '/run/podferry']

export const nodeCleanupCommand = (): Command =>
  new Command('node-cleanup')
    .description("remove podferry's hook, registry storage and state from this node")
    .option('--host-root <folder>', "where the node's root is mounted", '/host')
    .option('--force', 'even when a migration has left a frozen pod or a journal entry', false)
    .action(cleanUpNode)

/** @throws PodferryError `NodeInUse` when a migration still has something on this node */
export async function cleanUpNode({ hostRoot, force }: { hostRoot: string; force: boolean }): Promise<void> {
  const held = (await Promise.all([JOURNAL_FOLDER, FENCE_FOLDER].map((folder) => filesIn(hostRoot, folder)))).flat()
  if (held.length > 0 && !force) {
    throw new PodferryError({
      reason: 'NodeInUse',
      message: `a migration still has ${held.join(', ')} on this node and its pod may be frozen: let the agent finish it, or use --force`,
      retry: 'afterChange',
    })
  }
  await uninstall(hostRoot)
  for (const folder of FOLDERS) await rm(join(hostRoot, folder), { recursive: true, force: true })
}

async function filesIn(hostRoot: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(hostRoot, folder), { recursive: true, withFileTypes: true }).catch((error) => {
    if (error.code !== 'ENOENT') throw error
    return []
  })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(hostRoot.length))
}
