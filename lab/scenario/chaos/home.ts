/** The pod that is moved from run to run, as long as nothing is wrong with it: its book then covers all of them. */
import { FINALIZER } from '../../../src/api/names.ts'
import { MIGRATIONS, PODS } from '../../../src/api/resources.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import type { NodeName } from '../../places.ts'
import { eventually } from '../eventually.ts'
import type { NodeWitness } from '../node-witness.ts'
import { ledgerPod, removePod, runPod } from '../pods.ts'

export interface Home {
  pod: string
  node: NodeName
}

const NAMESPACE = 'default'
const MEBIBYTES = 16
const SILENCE_MS = 1_000

export async function newHome(client: KubeClient, witness: NodeWitness, name: string): Promise<Home> {
  const node: NodeName = 'node-1'
  // One that was taken away by force speaks until kubelet has ended it: two at once would look like a violation.
  await eventually('nobody speaks', async () => witness.since(Date.now() - SILENCE_MS).length === 0, 120_000)
  const began = Date.now()
  await runPod(client, ledgerPod({ name, node, witness: witness.target, mebibytes: MEBIBYTES }))
  await eventually('it counts', async () => witness.since(began).length > 10)
  return { pod: name, node }
}

/** @returns one sentence for each pod that should not be there */
export async function othersIn(client: KubeClient, survivor: string | undefined): Promise<string[]> {
  const pods = await client.list(PODS, { namespace: NAMESPACE })
  const others = pods.items.filter(({ metadata: { name } }) => name !== survivor)
  return others.map(({ metadata: { name } }) => `pod ${name} is there besides ${survivor}`)
}

/** After a violation: what it was found in is worth nothing to the next run. */
export async function removeAll(client: KubeClient): Promise<void> {
  const migrations = await client.list(MIGRATIONS, { namespace: NAMESPACE })
  for (const { metadata } of migrations.items) await client.delete(MIGRATIONS, NAMESPACE, metadata.name).catch(() => {})
  const none = async () => (await client.list(MIGRATIONS, { namespace: NAMESPACE })).items.length === 0
  await eventually('all Migrations are gone', none, 60_000).catch(() => releaseAll(client))
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
