/** A Deployment of counters that all tell one witness, and what its owner sees of it. */
import type { Pod, ReplicaSet } from '../../src/api/pod.ts'
import { PODS, REPLICA_SETS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import type { KubeObject, Resource } from '../../src/kube/resource.ts'
import { kubectl } from '../cluster.ts'
import { eventually } from './eventually.ts'
import { counterPod, restarts } from './pods.ts'
import { type Report, violations } from './witness.ts'

interface DeploymentOptions {
  name: string
  replicas: number
  /** `address:port` of the witness. */
  witness: string
}

interface Deployment extends KubeObject {
  spec: object
}

export const DEPLOYMENTS: Resource<Deployment> = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  namespaced: true,
}

/** Creates it and waits until all its pods are Ready. */
export const runDeployment = (client: KubeClient, { name, replicas, witness }: DeploymentOptions): Promise<Pod[]> =>
  runDeploymentOf(client, { name, replicas, spec: counterPod({ name, node: '', witness }).spec })

/** @returns its pods, all of them Ready, wherever the scheduler has put them */
export async function runDeploymentOf(
  client: KubeClient,
  { name, replicas, spec: pinned }: { name: string; replicas: number; spec: ReturnType<typeof counterPod>['spec'] },
): Promise<Pod[]> {
  const { nodeName: _any, ...spec } = pinned
  const labels = { app: name }
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
  await client.create(DEPLOYMENTS, deployment)
  await kubectl(['rollout', 'status', `deployment/${name}`, '--timeout=60s'])
  return await podsOf(client, name)
}

/** All pods under the Deployment's label, those released from it too, but none on its way out. */
export const podsOf = async (client: KubeClient, app: string): Promise<Pod[]> =>
  (await client.list(PODS, { namespace: 'default', labelSelector: `app=${app}` })).items.filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  )

const replicaSetsOf = async (client: KubeClient, app: string): Promise<ReplicaSet[]> =>
  (await client.list(REPLICA_SETS, { namespace: 'default', labelSelector: `app=${app}` })).items

export async function removeDeployment(client: KubeClient, app: string): Promise<void> {
  await kubectl(['delete', 'deployment', app, '--wait=false'])
  const all = async () => (await client.list(PODS, { namespace: 'default', labelSelector: `app=${app}` })).items
  await eventually(`the pods of ${app} are gone`, async () => (await all()).length === 0)
}

/** @returns what is wrong with the Deployment as its owner leaves it: exactly its replicas, all of its ReplicaSet, none restarted */
export async function faultsOf(client: KubeClient, app: string, replicas: number): Promise<string[]> {
  const restarted = (await podsOf(client, app)).filter((pod) => restarts(pod) > 0)
  return [
    ...(await ownerFaults(client, app, replicas)),
    ...restarted.map(({ metadata }) => `${metadata.name} was restarted`),
  ]
}

/** @returns what its owner is short of: exactly its replicas, all of its ReplicaSet, all running */
export async function ownerFaults(client: KubeClient, app: string, replicas: number): Promise<string[]> {
  const [pods, sets] = await Promise.all([podsOf(client, app), replicaSetsOf(client, app)])
  const uids = new Set(sets.map(({ metadata }) => metadata.uid))
  const isOwned = ({ metadata }: Pod) => metadata.ownerReferences?.some(({ uid }) => uids.has(uid))
  return [
    ...(pods.length === replicas ? [] : [`${pods.length} pods instead of ${replicas}`]),
    ...pods.filter((pod) => !isOwned(pod)).map(({ metadata }) => `${metadata.name} has no owner`),
    ...pods.filter((pod) => pod.status?.phase !== 'Running').map(({ metadata }) => `${metadata.name} does not run`),
  ]
}

/** @returns by program, what the witness holds against it; every program that began at all has an entry */
export function violationsByProgram(reports: readonly Report[]): Map<string, string[]> {
  const byNonce = Map.groupBy(reports, ({ nonce }) => nonce)
  return new Map([...byNonce].map(([nonce, own]) => [nonce, violations(own)]))
}

interface Census {
  /** Fewest and most pods that ran, or stood still for their move, at the same time. */
  fewest: number
  most: number
  looks: number
}

/** Counts the pods of a Deployment again and again until stopped. */
export function startCensus(client: KubeClient, app: string): { stop(): Promise<Census> } {
  const stopped = new AbortController()
  const census: Census = { fewest: Number.POSITIVE_INFINITY, most: 0, looks: 0 }
  const counting = (async () => {
    while (!stopped.signal.aborted) {
      const pods = await podsOf(client, app)
      const running = pods.filter(({ status }) => status?.phase === 'Running').length
      census.fewest = Math.min(census.fewest, running)
      census.most = Math.max(census.most, pods.length)
      census.looks++
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return census
  })()
  return {
    stop: () => {
      stopped.abort()
      return counting
    },
  }
}
