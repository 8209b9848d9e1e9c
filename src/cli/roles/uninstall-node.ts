/** `podferry uninstall-node`: what the agent has put on its node is taken away, before podferry is. */
import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { forgetFacts } from '../../agent/facts/report.ts'
import { FENCE_FOLDER } from '../../agent/fence/claim.ts'
import { uninstall } from '../../agent/install/install.ts'
import { labelNode } from '../../agent/install/label.ts'
import { DEFAULT_SOCKET, uninstallLive } from '../../agent/install/live.ts'
import { containersOfWrapper, WRAPPER } from '../../agent/install/programs.ts'
import { createJobs } from '../../agent/jobs/jobs.ts'
import { JOURNAL_FOLDER, LIVE_JOURNAL_FOLDER } from '../../agent/journal.ts'
import { PodferryError } from '../../errors.ts'
import { createClient } from '../../kube/client.ts'
import { inClusterConnection } from '../../kube/connection.ts'
import { createLog } from './common.ts'

const STATE_FOLDER = '/var/lib/podferry'
const RUN_FOLDER = '/run/podferry'
const RESTORE_FOLDER = '/run/podferry/restore'
/** By then `kubectl exec`, whose streams go through containerd, has its answer. */
const RESTART_AFTER_MS = 1_000

interface Flags {
  hostRoot: string
  runtimeSocket: string
  force: boolean
}

export const uninstallNodeCommand = (): Command =>
  new Command('uninstall-node')
    .description("remove podferry's hook, runtime handler, label, facts, registry storage and state from this node")
    .option('--host-root <folder>', "where the node's root is mounted", '/host')
    .option('--runtime-socket <file>', "the container runtime's socket on the node", DEFAULT_SOCKET)
    .option('--force', 'even when a migration has left something, or pods of RuntimeClass podferry run here', false)
    .action(uninstallNode)

/** @throws PodferryError `NodeInUse` when a migration or a pod still needs something on this node */
async function uninstallNode({ hostRoot, runtimeSocket, force }: Flags): Promise<void> {
  if (!force) await requireUnused(hostRoot, dirname(runtimeSocket))
  const log = createLog('uninstall-node')
  await uninstall(hostRoot)
  const { containers } = await uninstallLive({ hostRoot, runtimeSocket, log, restartAfterMs: RESTART_AFTER_MS })
  await rm(join(hostRoot, STATE_FOLDER), { recursive: true, force: true })
  // The marks tell a wrapper that stays which pods have arrived: their containers may be started again.
  const kept = containers.length > 0 ? ['restored'] : []
  for (const name of await namesIn(join(hostRoot, RUN_FOLDER))) {
    if (!kept.includes(name)) await rm(join(hostRoot, RUN_FOLDER, name), { recursive: true, force: true })
  }
  if (kept.length === 0) await rm(join(hostRoot, RUN_FOLDER), { recursive: true, force: true })
  await createJobs(hostRoot).removeCgroup()
  await removeFromNode()
}

async function requireUnused(hostRoot: string, stateFolder: string): Promise<void> {
  const folders = [JOURNAL_FOLDER, LIVE_JOURNAL_FOLDER, FENCE_FOLDER, RESTORE_FOLDER]
  const files = (await Promise.all(folders.map((folder) => filesIn(hostRoot, folder)))).flat()
  const held = files.filter((path) => !path.startsWith(RESTORE_FOLDER) || drawsPages(path, files))
  if (held.length > 0) {
    const message = `a migration still has ${held.join(', ')} on this node and its pod may be frozen or incomplete: let the agent finish it, or use --force`
    throw new PodferryError({ reason: 'NodeInUse', message, retry: 'afterChange' })
  }
  const containers = await containersOfWrapper(hostRoot, stateFolder)
  if (containers.length > 0) {
    const message = `containers of RuntimeClass podferry run on this node (${containers.map((id) => id.slice(0, 12)).join(', ')}) and need ${WRAPPER}: delete their pods (kubectl get pods -A --field-selector spec.nodeName=NODE), or use --force, which leaves that program for them but lets them not start again`
    throw new PodferryError({ reason: 'NodeInUse', message, retry: 'afterChange' })
  }
}

/** Of all that a restore leaves, a daemon that has not ended is what a running pod depends on. */
const drawsPages = (path: string, files: readonly string[]) =>
  path.endsWith('/lazy.pid') && !files.includes(path.replace(/pid$/, 'exit'))

/** In an agent's container, which alone knows its node and may change it. */
async function removeFromNode(): Promise<void> {
  const { NODE_NAME, KUBERNETES_SERVICE_HOST } = process.env
  if (!NODE_NAME || !KUBERNETES_SERVICE_HOST) return
  const client = createClient({ connection: await inClusterConnection(), role: 'agent' })
  try {
    await labelNode(client, NODE_NAME, false)
    await forgetFacts(client, NODE_NAME)
  } finally {
    client.close()
  }
}

async function filesIn(hostRoot: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(hostRoot, folder), { recursive: true, withFileTypes: true }).catch(ignoreMissing)
  return (entries ?? [])
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(hostRoot.length))
}

const namesIn = async (path: string): Promise<string[]> => (await readdir(path).catch(ignoreMissing)) ?? []

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
