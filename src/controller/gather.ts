/** All reads of one reconcile. What decides is read from the API server itself; caches only say where to look. */
import { isFinished, truth } from '../api/conditions.ts'
import type { Migration } from '../api/migration.ts'
import { isPodReady, type Pod } from '../api/pod.ts'
import { JOBS, MIGRATIONS, NODES, PODS, REPLICA_SETS, STATEFUL_SETS } from '../api/resources.ts'
import type { KubeClient } from '../kube/client.ts'
import { isNotFound } from '../kube/error.ts'
import type { KubeObject, Resource } from '../kube/resource.ts'
import { probeWebhook } from './admission/probe.ts'
import { claimsOf } from './claims.ts'
import { ownerOf } from './owner.ts'
import { pullPodName } from './pods.ts'
import type { Snapshot } from './snapshot.ts'
import { expectedPodName } from './steps/restore.ts'

export const COMPONENT_LABEL = 'app.kubernetes.io/component'

export interface GatherDeps {
  client: KubeClient
  /** Where podferry's own pods live. */
  systemNamespace: string
  /** Other Migrations of the same namespace, from the informer: an old view only refuses a rival a little later. */
  migrationsIn(namespace: string): readonly Migration[]
}

/** @returns everything a plan looks at, or undefined when the Migration no longer exists */
export async function gather(deps: GatherDeps, namespace: string, name: string): Promise<Snapshot | undefined> {
  const { client } = deps
  const migration = await find(client, MIGRATIONS, namespace, name)
  if (!migration) return undefined
  const pod = (podName: string) => find(client, PODS, namespace, podName)
  const [namedPod, pullPod, nodes, own] = await Promise.all([
    pod(migration.spec.podName),
    pod(pullPodName(migration)),
    client.list(NODES),
    client.list(PODS, { namespace: deps.systemNamespace, labelSelector: `${COMPONENT_LABEL} in (agent,registry)` }),
  ])
  const [owner, webhook] = await Promise.all([
    findOwner(client, migration, namedPod),
    probeWebhook(client, migration, namedPod),
  ])
  const destinationName = expectedPodName({ migration, sourcePod: namedPod })
  // Recreated: both pods have the same name, one after the other.
  const isSuccessor =
    destinationName === migration.spec.podName &&
    truth(migration.status, 'Committed') !== 'Unknown' &&
    namedPod?.metadata.uid !== migration.status?.source?.podUID
  const sourcePod = isSuccessor ? undefined : namedPod
  const otherPod = async () =>
    destinationName === undefined || destinationName === migration.spec.podName ? undefined : await pod(destinationName)
  const undecided = truth(migration.status, 'Accepted') === 'Unknown'
  return {
    migration,
    rivals: rivalsOf(migration, deps.migrationsIn(namespace)),
    sourcePod,
    pullPod,
    destinationPod: isSuccessor ? namedPod : await otherPod(),
    owner,
    webhook,
    nodes: nodes.items,
    agents: nodesOf(own.items, 'agent'),
    registries: nodesOf(own.items, 'registry'),
    ...(sourcePod && undecided ? { claims: await claimsOf(client, sourcePod) } : {}),
  }
}

export const rivalsOf = (migration: Migration, all: readonly Migration[]) =>
  all.filter(
    (other) =>
      other.spec.podName === migration.spec.podName &&
      other.metadata.uid !== migration.metadata.uid &&
      !isFinished(other.status),
  )

export const nodesOf = (pods: Pod[], component: string): ReadonlySet<string> =>
  new Set(
    pods
      .filter((pod) => pod.metadata.labels?.[COMPONENT_LABEL] === component && isPodReady(pod))
      .map((pod) => pod.spec.nodeName ?? ''),
  )

/** @returns the owner that the pod belongs to, or belonged to when it was accepted */
export async function findOwner(client: KubeClient, { status, metadata }: Migration, source: Pod | undefined) {
  const owner = status?.source?.owner ?? (source && ownerOf(source))
  if (!owner) return undefined
  const namespace = metadata.namespace ?? 'default'
  if (owner.kind === 'Job') return await find(client, JOBS, namespace, owner.name)
  return owner.kind === 'StatefulSet'
    ? await find(client, STATEFUL_SETS, namespace, owner.name)
    : await find(client, REPLICA_SETS, namespace, owner.name)
}

async function find<T extends KubeObject>(client: KubeClient, resource: Resource<T>, namespace: string, name: string) {
  try {
    return await client.get(resource, namespace, name)
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
