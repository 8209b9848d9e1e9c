/** Everything that can be checked before anything is touched. */
import type { Migration } from '../../../api/migration.ts'
import { MIGRATIONS } from '../../../api/resources.ts'
import { PodferryError } from '../../../errors.ts'
import type { AgentContext } from '../../context.ts'
import { referenceOf } from '../../status.ts'
import { getPod } from '../pods.ts'
import { liveTarget } from '../preconditions.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { plan } from './plan.ts'
import { containerState } from './runc.ts'

/**
 * @returns the journal entry to begin with, or undefined when the Migration does not want it any more
 * @throws PodferryError the refusal; with `retry: 'backoff'` when it may pass
 */
export async function prepare(
  { client, nodeName, now }: AgentContext,
  { fence, node, places, checkIdentity, preflight }: LiveSourceDependencies,
  { metadata }: Migration,
): Promise<LiveEntry | undefined> {
  const migration = await client.get(MIGRATIONS, metadata.namespace, metadata.name)
  const view = {
    entry: undefined,
    task: undefined,
    pod: 'present',
    frozen: false,
    pages: 'served',
    lostForMs: 0,
  } as const
  const wanted = plan({ ...view, status: migration.status ?? {} }).do === 'begin'
  if (migration.metadata.uid !== metadata.uid || !wanted) return undefined

  // Nothing is touched before this agent can talk to the other: it may have been started a moment ago.
  checkIdentity()
  const reference = referenceOf(migration)
  const target = liveTarget(migration, nodeName, await getPod(client, reference.namespace, migration.spec.podName))
  const cgroup = await fence.find(target.pod.uid)
  if (cgroup === undefined) throw cgroupNotFound(target.pod.name)
  const claimant = await fence.claimant(cgroup)
  if (claimant === reference.uid || (await places.containers(reference.uid)).length > 0) throw journalLost()
  if (claimant !== undefined) throw podBusy(target.pod.name, claimant)
  await preflight(cgroup)
  const containers = await Promise.all(
    target.containers.map(async (container) => {
      const { pid, status } = await containerState(node, container.id)
      if (status !== 'running' || pid === 0) throw notRunning(target.pod.name, container.name, status)
      return { ...container, pid }
    }),
  )
  return { ...reference, pod: target.pod, containers, cgroup, step: 'preparing', startedAt: now().toISOString() }
}

const cgroupNotFound = (pod: string) =>
  new PodferryError({
    reason: 'PodCgroupNotFound',
    message: `pod ${pod}: no process on the node is in a cgroup with the pod's UID; the agent's pod needs hostPID: true and the node's root at --host-root`,
  })

/** What there is of this Migration, the clean-up after the abort takes away. */
const journalLost = () =>
  new PodferryError({
    reason: 'JournalLost',
    message:
      'the source node holds remains of this Migration, but its journal has no readable entry of it; see /var/lib/podferry/journal there',
  })

const podBusy = (pod: string, owner: string) =>
  new PodferryError({
    reason: 'PodBusy',
    message: `pod ${pod} is frozen for Migration ${owner}; wait until that one has finished`,
    retry: 'backoff',
  })

const notRunning = (pod: string, container: string, status: string) =>
  new PodferryError({
    reason: 'ContainerNotRunning',
    message: `pod ${pod}: the OCI runtime says that container ${container} is ${status}; wait until it runs`,
  })
