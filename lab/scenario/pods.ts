/** The programs that scenarios move. */
import { lastingStatuses, type Pod } from '../../src/api/pod.ts'
import { PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { isNotFound } from '../../src/kube/error.ts'
import { imageRef } from '../images.ts'
import { eventually } from './eventually.ts'

interface PodOptions {
  name: string
  node: string
  namespace?: string
  image: string
  command?: string[]
  memory?: string
}

/** A bare pod of one container named `main`, pinned to a node. */
export function barePod({ name, node, namespace = 'default', image, command, memory }: PodOptions) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 2,
      containers: [
        {
          name: 'main',
          image: imageRef(image),
          ...(command ? { command } : {}),
          ...(memory ? { resources: { requests: { memory } } } : {}),
        },
      ],
    },
  }
}

/** Counts every `intervalMs`, printing each number and reporting it to the witness. */
export const counterPod = (options: {
  name: string
  node: string
  namespace?: string
  intervalMs?: number
  witness?: string
}) =>
  barePod({
    ...options,
    image: 'counter:1',
    command: ['/counter', String(options.intervalMs ?? 20), ...(options.witness ? [options.witness] : [])],
  })

/** Keeps a book of numbers in memory and in files, and tells the witness of each; see lab/images/ledger.c. */
export const ledgerPod = (options: { name: string; node: string; witness: string; mebibytes: number }) =>
  barePod({
    ...options,
    image: 'ledger:1',
    command: ['/ledger', '20', options.witness, String(options.mebibytes), '/book'],
  })

/** Creates a pod and waits until it runs. */
export async function runPod(client: KubeClient, pod: ReturnType<typeof barePod>): Promise<Pod> {
  await client.create(PODS, pod)
  const { name, namespace } = pod.metadata
  return await eventually(`pod ${name} runs`, async () => {
    const current = await client.get(PODS, namespace, name)
    return current.status?.phase === 'Running' ? current : undefined
  })
}

export async function podOrUndefined(client: KubeClient, namespace: string, name: string): Promise<Pod | undefined> {
  try {
    return await client.get(PODS, namespace, name)
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

/** Deletes a pod and waits until it is gone. */
export async function removePod(client: KubeClient, namespace: string, name: string): Promise<void> {
  if (await podOrUndefined(client, namespace, name)) {
    await client.delete(PODS, namespace, name, { gracePeriodSeconds: 0 }).catch(() => {})
  }
  await eventually(`pod ${name} is gone`, async () => !(await podOrUndefined(client, namespace, name)))
}

export const restarts = (pod: Pod): number =>
  lastingStatuses(pod).reduce((sum, { restartCount }) => sum + restartCount, 0)

/** @returns the pods with that label `app` */
export const podsUnder = async (client: KubeClient, app: string): Promise<Pod[]> =>
  (await client.list(PODS, { namespace: 'default', labelSelector: `app=${app}` })).items
