/** Is the webhook alive? Only the API server can say: it is asked to make a pod, as a dry run. */
import { truth } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { PROBE_ANNOTATION, PROBE_NAME, PROBED_ANNOTATION } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isForbidden } from '../../kube/error.ts'
import { collectionPath, type KubeObject } from '../../kube/resource.ts'
import { ownerOf } from '../owner.ts'
import type { Snapshot } from '../snapshot.ts'

const PROBE_MS = 5_000

/** @returns undefined where nobody needs to know, and where a person's command may not ask */
export async function probeWebhook(
  client: KubeClient,
  { metadata, status }: Migration,
  source: Pod | undefined,
  by: 'controller' | 'person' = 'controller',
): Promise<Snapshot['webhook']> {
  const owner = source && (status?.source?.owner ?? ownerOf(source))
  if (!owner || truth(status, 'Accepted') === 'False' || truth(status, 'Committed') !== 'Unknown') return undefined
  if (status?.source?.releasedAt !== undefined) return undefined
  // Once accepted, a pod of this owner must get through, which the API server allows a moment after it was told.
  const asPodOfOwner = {
    ownerReferences: [
      {
        apiVersion: owner.kind === 'Job' ? 'batch/v1' : 'apps/v1',
        kind: owner.kind,
        name: owner.name,
        uid: owner.uid,
        controller: true,
      },
    ],
  }
  const asProbe = { annotations: { [PROBE_ANNOTATION]: metadata.uid } }
  const { nodeName: _anywhere, ...spec } = source.spec
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: PROBE_NAME, ...(status?.source?.owner ? asPodOfOwner : asProbe) },
    spec,
  }
  try {
    const path = collectionPath(PODS, metadata.namespace)
    const query = { dryRun: 'All' }
    const made = JSON.parse(
      await client.request({ method: 'POST', path, query, body: pod, timeoutMs: PROBE_MS }),
    ) as KubeObject
    if (made.metadata.annotations?.[PROBED_ANNOTATION] !== undefined) return 'alive'
    return { dead: 'a dry run of a pod came back without the mark of the webhook' }
  } catch (error) {
    if (by === 'person' && isForbidden(error)) return undefined
    return { dead: `the API server refused a dry run of the pod: ${error instanceof Error ? error.message : error}` }
  }
}
