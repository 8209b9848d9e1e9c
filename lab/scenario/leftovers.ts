/** What must not be there after a migration: invariant 4, looked for on the nodes and in the API server. */
import { isFinished } from '../../src/api/conditions.ts'
import { FINALIZER } from '../../src/api/names.ts'
import { MIGRATIONS, PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { cgroupOf } from '../cgroups.ts'
import { node } from '../cluster.ts'
import { NODES } from '../places.ts'
import { eventually } from './eventually.ts'

/** A sentence and the shell words that print one line for each thing left behind; `$1` is the node's own cgroup. */
const ON_A_NODE: Record<string, string> = {
  'frozen cgroup':
    'find /sys/fs/cgroup -path "*$1/*" -name freezer.state -exec grep -lE \'FROZEN|FREEZING\' {} + 2>/dev/null',
  'checkpoint archive': 'find /var/lib/kubelet/checkpoints -type f 2>/dev/null',
  'fence claim': 'find /run/podferry/fence -type f 2>/dev/null',
  'journal entry': 'find /var/lib/podferry/journal /var/lib/podferry/journal-live -type f 2>/dev/null',
  'staged file': 'find /run/podferry/restore /run/podferry/live -mindepth 1 2>/dev/null',
  'unpacked checkpoint': 'find /var/lib/podferry/unpacked 2>/dev/null',
  'checkpoint repository': 'find /var/lib/podferry/registry -path "*/repositories/podferry/*" -type f 2>/dev/null',
  'checkpoint blob': 'find /var/lib/podferry/registry -path "*/blobs/*" -type f 2>/dev/null',
  'criu process': 'pgrep -x criu',
  'page keeper': 'pgrep -f "agent/page[s]/|runtime/page-holde[r]"',
}

/**
 * A finalizer goes a moment after the end, and what was struck down may still be sweeping up after its restart.
 *
 * @returns one sentence for each thing that is left behind for good; empty when all is clean
 */
export async function lastingLeftovers(client: KubeClient, patienceMs = 20_000): Promise<string[]> {
  let left = ['nobody has looked']
  const clean = async () => {
    left = await leftovers(client)
    return left.length === 0
  }
  // Not looked at once more after the end: agents ask `criu check` now and then.
  await eventually('nothing is left behind', clean, patienceMs, 300).catch(() => {})
  return left
}

/** @returns one sentence for each thing left behind now */
export async function leftovers(client: KubeClient): Promise<string[]> {
  const [onNodes, inCluster] = await Promise.all([Promise.all(NODES.map(onNode)), inApiServer(client)])
  return [...onNodes.flat(), ...inCluster]
}

/** All in one command: starting them takes longer than what they do. */
const SCRIPT = Object.entries(ON_A_NODE)
  .map(([what, command]) => `{ ${command}; } | sed 's|^|${what}: |'`)
  .join('\n')

async function onNode(name: (typeof NODES)[number]): Promise<string[]> {
  const output = await node(name).exec(['sh', '-c', `${SCRIPT}\ntrue`, 'sh', cgroupOf(name)])
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => `${name}: ${line}`)
}

async function inApiServer(client: KubeClient): Promise<string[]> {
  const [migrations, pods] = await Promise.all([client.list(MIGRATIONS), client.list(PODS)])
  const held = migrations.items.filter((m) => isFinished(m.status) && m.metadata.finalizers?.includes(FINALIZER))
  const pulling = pods.items.filter((pod) => pod.metadata.name.startsWith('podferry-pull-'))
  return [
    ...held.map((m) => `Migration ${m.metadata.name} has ended and keeps its finalizer`),
    ...pulling.map((pod) => `pull pod ${pod.metadata.name}`),
  ]
}
