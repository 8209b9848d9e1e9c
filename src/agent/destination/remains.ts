/** What of a destination pod runs, or could begin to run. */
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { type CriClient, POD_UID_LABEL } from '../runtime/cri.ts'

interface Suspects {
  namespace: string
  migrationUID: string
  podUID: string | undefined
  /** The pods of the namespace that carry the Migration's label or are its destination pod. */
  pods: readonly Pod[]
  self: string
}

/**
 * A container can only start in a sandbox that is ready. With the images gone a new sandbox gets no container, so when this
 * list is empty it stays empty. It holds for pods deleted by force too, which the API server forgets before kubelet does.
 *
 * @returns for people, what is still there; empty proves that nothing runs
 */
export async function remains(
  cri: Pick<CriClient, 'sandboxes' | 'containers'>,
  { namespace, migrationUID, podUID, pods, self }: Suspects,
): Promise<string[]> {
  const labelled = await cri.sandboxes({ [MIGRATION_UID_LABEL]: migrationUID })
  const known = podUID === undefined ? [] : await cri.sandboxes({ [POD_UID_LABEL]: podUID })
  // Anybody may put our label on a pod of another namespace; that is no reason to wait.
  const sandboxes = [...labelled, ...known].filter(({ metadata }) => metadata.namespace === namespace)
  const uids = new Set([...sandboxes.map(({ metadata }) => metadata.uid), ...(podUID === undefined ? [] : [podUID])])
  const containers = await Promise.all([...uids].map((uid) => cri.containers({ [POD_UID_LABEL]: uid })))
  return [
    ...pods.filter(({ spec }) => spec.nodeName === self).map(({ metadata }) => `pod ${metadata.name}`),
    ...sandboxes.filter(({ state }) => state === 'SANDBOX_READY').map(({ id }) => `sandbox ${id}`),
    ...containers
      .flat()
      .filter(({ state }) => state !== 'CONTAINER_EXITED')
      .map(({ id, metadata }) => `container ${metadata.name} (${id})`),
  ]
}
