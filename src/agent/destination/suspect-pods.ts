/** The pods that are, or say that they are, a Migration's destination pod. */
import type { Migration } from '../../api/migration.ts'
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isNotFound } from '../../kube/error.ts'
import { referenceOf } from '../status.ts'

/** @returns undefined when there is no pod of that name */
export async function podNamed(client: KubeClient, migration: Migration, name: string): Promise<Pod | undefined> {
  return await client.get(PODS, referenceOf(migration).namespace, name).catch((error) => {
    if (!isNotFound(error)) throw error
    return undefined
  })
}

/** Those with the Migration's label, and the one whose name and UID the controller wrote down. */
export async function suspectPods(client: KubeClient, migration: Migration): Promise<Pod[]> {
  const { namespace, uid } = referenceOf(migration)
  const { items } = await client.list(PODS, { namespace, labelSelector: `${MIGRATION_UID_LABEL}=${uid}` })
  const { podName, podUID } = migration.status?.destination ?? {}
  const named = podName === undefined ? undefined : await podNamed(client, migration, podName)
  return named && named.metadata.uid === podUID ? [...items, named] : items
}
