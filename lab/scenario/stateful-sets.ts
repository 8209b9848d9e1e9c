/** A StatefulSet of one book-keeper, whose book lies on a claim that both nodes can have, one after the other. */
import type { Pod } from '../../src/api/pod.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import type { Resource } from '../../src/kube/resource.ts'
import { kubectl } from '../cluster.ts'
import { type AccessMode, type Applied, claimSpec, createVolume, removeClaim } from './claims.ts'
import { eventually } from './eventually.ts'
import { type ledgerPod, podOrUndefined, podsUnder } from './pods.ts'

const STATEFUL_SETS: Resource<Applied> = { group: 'apps', version: 'v1', plural: 'statefulsets', namespaced: true }

interface Options {
  name: string
  /** Where each pod's volume is mounted. */
  mountPath: string
  accessMode: AccessMode
  /** What each pod runs. */
  spec: ReturnType<typeof ledgerPod>['spec']
}

/** Creates it, one replica, with the volume that its claim is bound to, and waits until the pod runs. */
export async function runStatefulSet(
  client: KubeClient,
  { name, mountPath, accessMode, spec: pinned }: Options,
): Promise<Pod> {
  const { nodeName: _any, containers, ...spec } = pinned
  const labels = { app: name }
  await createVolume(client, { name: `${name}-0`, claim: claimOf(`${name}-0`), accessMode })
  const claim = { metadata: { name: 'data' }, spec: claimSpec(accessMode) }
  const mounted = containers.map((container) => ({ ...container, volumeMounts: [{ name: 'data', mountPath }] }))
  await client.create(STATEFUL_SETS, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas: 1,
      serviceName: name,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...spec, containers: mounted } },
      volumeClaimTemplates: [claim],
    },
  })
  return await eventually(
    `pod ${name}-0 runs`,
    async () => {
      const pod = await podOrUndefined(client, 'default', `${name}-0`)
      return pod?.status?.phase === 'Running' ? pod : undefined
    },
    60_000,
  )
}

const claimOf = (podName: string) => `data-${podName}`

/** With its pods, claims and volumes. */
export async function removeStatefulSet(client: KubeClient, name: string): Promise<void> {
  await kubectl(['delete', 'statefulset', name, '--ignore-not-found', '--wait=false'])
  await eventually(`the pods of ${name} are gone`, async () => (await podsUnder(client, name)).length === 0, 60_000)
  await removeClaim(claimOf(`${name}-0`), `${name}-0`)
}
