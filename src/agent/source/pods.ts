/** The source pod as the API server has it, and what is told of it to people. */
import type { Migration } from '../../api/migration.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isNotFound } from '../../kube/error.ts'
import type { EventRecorder } from '../../kube/events.ts'

/** The pod with the UID of status.source. */
export type PodState = 'present' | 'leaving' | 'gone'

/** What an entry of either mode knows of its pod. */
interface Owner {
  uid: string
  namespace: string
  name: string
  pod: { name: string; uid: string }
}

export async function getPod(client: KubeClient, namespace: string, name: string): Promise<Pod | undefined> {
  return await client.get(PODS, namespace, name).catch((error) => {
    if (!isNotFound(error)) throw error
    return undefined
  })
}

export async function podState(client: KubeClient, { metadata, spec, status }: Migration): Promise<PodState> {
  return stateOf(await getPod(client, metadata.namespace ?? 'default', spec.podName), status?.source?.podUID)
}

function stateOf(pod: Pod | undefined, uid: string | undefined): PodState {
  if (pod?.metadata.uid !== uid) return 'gone'
  return pod?.metadata.deletionTimestamp === undefined ? 'present' : 'leaving'
}

/** `kubectl describe pod` says why it stands still, and since when it does not any more. */
export const tellPod = (recorder: EventRecorder, { namespace, pod }: Owner, reason: string, message: string) =>
  recorder.event(
    { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name: pod.name, uid: pod.uid } },
    'Normal',
    reason,
    message,
  )

/** @returns true when there is no such Migration any more: its finalizer was taken off by force */
export async function isForgotten(client: KubeClient, { uid, namespace, name }: Owner): Promise<boolean> {
  const still = await client.get(MIGRATIONS, namespace, name).catch((error) => {
    if (!isNotFound(error)) throw error
    return undefined
  })
  return still?.metadata.uid !== uid
}

/**
 * How the fence of a forgotten Migration may end.
 *
 * @throws PodferryError `MigrationRemovedByForce` while both pods are there and nobody can say which of them may run
 */
export async function forgottenRelease(client: KubeClient, entry: Owner): Promise<'thaw' | 'kill'> {
  const { uid, namespace, name, pod } = entry
  const { items } = await client.list(PODS, { namespace, labelSelector: `${MIGRATION_UID_LABEL}=${uid}` })
  const destination = items.find(({ status }) => !['Succeeded', 'Failed'].includes(status?.phase ?? ''))
  const source = stateOf(await getPod(client, namespace, pod.name), pod.uid)
  if (destination === undefined) return 'thaw'
  if (source !== 'present') return 'kill'
  throw new PodferryError({
    reason: 'MigrationRemovedByForce',
    message: `Migration ${namespace}/${name} was removed by force while its destination pod ${destination.metadata.name} exists; the source pod ${pod.name} stays frozen: delete one of the two pods`,
    retry: 'backoff',
  })
}
