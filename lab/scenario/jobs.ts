/** Jobs of one pod, and what they count. */
import type { Pod } from '../../src/api/pod.ts'
import { PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { isNotFound } from '../../src/kube/error.ts'
import type { KubeObject, Resource } from '../../src/kube/resource.ts'
import { eventually } from './eventually.ts'
import type { barePod } from './pods.ts'

interface AppliedJob extends KubeObject {
  spec: object
  status?: {
    active?: number
    succeeded?: number
    failed?: number
    conditions?: { type: string; status: string; message?: string }[]
  }
}

const JOBS: Resource<AppliedJob> = { group: 'batch', version: 'v1', plural: 'jobs', namespaced: true }

/**
 * Creates a Job that may not fail once, and waits until its pod runs.
 *
 * @param pinned what its pod runs
 * @param more of the Job's spec
 */
export async function runJob(
  client: KubeClient,
  name: string,
  pinned: ReturnType<typeof barePod>['spec'],
  more: object = {},
): Promise<Pod> {
  const { nodeName: _any, ...spec } = pinned
  await client.create(JOBS, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'default' },
    spec: { backoffLimit: 0, ...more, template: { spec: { ...spec, restartPolicy: 'Never' } } },
  })
  return await eventually(`a pod of Job ${name} runs`, async () =>
    (await podsOfJob(client, name)).find(({ status }) => status?.phase === 'Running'),
  )
}

export const jobStatus = async (client: KubeClient, name: string) =>
  (await client.get(JOBS, 'default', name)).status ?? {}

/** @returns those that carry its name, whether it counts them or not */
export const podsOfJob = async (client: KubeClient, name: string): Promise<Pod[]> =>
  (await client.list(PODS, { namespace: 'default', labelSelector: `batch.kubernetes.io/job-name=${name}` })).items

export async function removeJob(client: KubeClient, name: string): Promise<void> {
  await client.delete(JOBS, 'default', name, { propagation: 'Background' }).catch((error) => {
    if (!isNotFound(error)) throw error
  })
  await eventually(`the pods of Job ${name} are gone`, async () => (await podsOfJob(client, name)).length === 0)
}
