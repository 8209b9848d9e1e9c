/** Claims whose volume both nodes can have. */
import type { KubeClient } from '../../src/kube/client.ts'
import type { KubeObject, Resource } from '../../src/kube/resource.ts'
import { kubectl } from '../cluster.ts'
import { SHARED_DRIVER } from '../shared-volume.ts'

export interface Applied extends KubeObject {
  spec: object
}

export type AccessMode = 'ReadWriteOnce' | 'ReadWriteMany'

const VOLUMES: Resource<Applied> = { group: '', version: 'v1', plural: 'persistentvolumes', namespaced: false }
const CLAIMS: Resource<Applied> = { group: '', version: 'v1', plural: 'persistentvolumeclaims', namespaced: true }
const CLASS = 'shared'

/** What a claim, or a StatefulSet's template of claims, asks for. */
export const claimSpec = (accessMode: AccessMode) => ({
  accessModes: [accessMode],
  storageClassName: CLASS,
  resources: { requests: { storage: '64Mi' } },
})

/** Creates the volume that a claim of namespace default is bound to when it is made. */
export async function createVolume(
  client: KubeClient,
  { name, claim, accessMode }: { name: string; claim: string; accessMode: AccessMode },
): Promise<void> {
  await client.create(VOLUMES, {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '64Mi' },
      accessModes: [accessMode],
      storageClassName: CLASS,
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { namespace: 'default', name: claim },
      // A folder of its own for each run: what an earlier one has left is not this one's.
      flexVolume: { driver: SHARED_DRIVER, options: { share: `${name}-${Date.now()}` } },
    },
  })
}

/** Creates a claim and its volume, both of that name. */
export async function createClaim(client: KubeClient, name: string, accessMode: AccessMode): Promise<void> {
  await createVolume(client, { name, claim: name, accessMode })
  await client.create(CLAIMS, {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: 'default' },
    spec: claimSpec(accessMode),
  })
}

/** @param volume its name, where it is not the claim's */
export async function removeClaim(claim: string, volume = claim): Promise<void> {
  await kubectl(['delete', 'pvc', claim, '--ignore-not-found'])
  await kubectl(['delete', 'pv', volume, '--ignore-not-found'])
}
