/** The pod that is moved from run to run, as long as nothing is wrong with it: its book then covers all of them. */
import { FINALIZER } from '../../../src/api/names.ts'
import type { Pod } from '../../../src/api/pod.ts'
import { MIGRATIONS, PODS } from '../../../src/api/resources.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import { imageRef } from '../../images.ts'
import { NODES, type NodeName } from '../../places.ts'
import { DEPLOYMENTS, ownerFaults, removeDeployment, runDeploymentOf } from '../deployments.ts'
import { eventually } from '../eventually.ts'
import type { NodeWitness } from '../node-witness.ts'
import { ledgerPod, removePod, runPod } from '../pods.ts'

export interface Home {
  pod: string
  node: NodeName
  /** The Deployment of one replica that the pod belongs to; undefined for a bare pod. */
  deployment?: string
}

export interface HomeOptions {
  /** Who makes the pod: `make chaos OWNER=Deployment`. */
  owner?: 'none' | 'Deployment'
  /** Of two the program is the first: it is restored while the second is still to come. `make chaos CONTAINERS=2`. */
  containers?: 1 | 2
}

const NAMESPACE = 'default'
const MEBIBYTES = 16
const SILENCE_MS = 1_000

export async function newHome(
  client: KubeClient,
  witness: NodeWitness,
  name: string,
  { owner = 'none', containers = 1 }: HomeOptions = {},
): Promise<Home> {
  // One that was taken away by force speaks until kubelet has ended it: two at once would look like a violation.
  await eventually('nobody speaks', async () => witness.since(Date.now() - SILENCE_MS).length === 0, 120_000)
  const began = Date.now()
  const pod = ledgerPod({ name, node: 'node-1', witness: witness.target, mebibytes: MEBIBYTES })
  const [main] = pod.spec.containers
  if (containers === 2 && main) {
    pod.spec.containers.push({ ...main, name: 'neighbour', image: imageRef('counter:1'), command: ['/counter', '100'] })
  }
  const made = owner === 'none' ? await runPod(client, pod) : await runOwned(client, name, pod)
  await eventually('it counts', async () => witness.since(began).length > 10)
  const node = NODES.find((known) => known === made.spec.nodeName)
  if (node === undefined) throw new Error(`${made.metadata.name} runs on ${made.spec.nodeName}`)
  return { pod: made.metadata.name, node, ...(owner === 'none' ? {} : { deployment: name }) }
}

async function runOwned(client: KubeClient, name: string, pod: ReturnType<typeof ledgerPod>): Promise<Pod> {
  const [made] = await runDeploymentOf(client, { name, replicas: 1, spec: pod.spec })
  if (made === undefined) throw new Error(`Deployment ${name} has no pod`)
  return made
}

/** @returns one sentence for each pod that should not be there, and for whatever its owner is short of */
export async function othersIn(client: KubeClient, survivor: Home | undefined): Promise<string[]> {
  const { pod, deployment } = survivor ?? {}
  const pods = await client.list(PODS, { namespace: NAMESPACE })
  const others = pods.items.filter(({ metadata: { name } }) => name !== pod)
  return [
    ...others.map(({ metadata: { name } }) => `pod ${name} is there besides ${pod}`),
    ...(deployment === undefined ? [] : await ownerFaults(client, deployment, 1)),
  ]
}

/** After a violation: what it was found in is worth nothing to the next run. */
export async function removeAll(client: KubeClient): Promise<void> {
  const migrations = await client.list(MIGRATIONS, { namespace: NAMESPACE })
  for (const { metadata } of migrations.items) await client.delete(MIGRATIONS, NAMESPACE, metadata.name).catch(() => {})
  const none = async () => (await client.list(MIGRATIONS, { namespace: NAMESPACE })).items.length === 0
  await eventually('all Migrations are gone', none, 60_000).catch(() => releaseAll(client))
  // Else it would make others.
  for (const { metadata } of (await client.list(DEPLOYMENTS, { namespace: NAMESPACE })).items)
    await removeDeployment(client, metadata.name).catch(() => {})
  const pods = await client.list(PODS, { namespace: NAMESPACE })
  for (const { metadata } of pods.items) await removePod(client, NAMESPACE, metadata.name).catch(() => {})
}

/** The last resort, so that the runs to come mean something: agents find what was taken from them by force. */
async function releaseAll(client: KubeClient): Promise<void> {
  for (const { metadata } of (await client.list(MIGRATIONS, { namespace: NAMESPACE })).items) {
    const finalizers = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER)
    const patch = { type: 'merge', body: { metadata: { finalizers } } } as const
    await client.patch(MIGRATIONS, NAMESPACE, metadata.name, patch).catch(() => {})
  }
}
