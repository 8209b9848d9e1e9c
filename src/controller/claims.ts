/** What the storage says of a pod's claims: preflight refuses those whose bytes can't be reached from elsewhere. */
import type { Pod } from '../api/pod.ts'
import { CLAIMS, VOLUMES } from '../api/resources.ts'
import type { KubeClient } from '../kube/client.ts'
import { isForbidden, isNotFound } from '../kube/error.ts'
import type { KubeObject, Resource } from '../kube/resource.ts'
import type { ClaimFacts } from './checks/volume-checks.ts'

/** @returns facts by name of the claim; what may not be read, or is not there, is left open */
export async function claimsOf(client: KubeClient, { metadata, spec }: Pod): Promise<Record<string, ClaimFacts>> {
  const names = (spec.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) => (claim ? [claim.claimName] : []))
  const facts = names.map(async (name): Promise<[string, ClaimFacts]> => {
    const claim = await find(client, CLAIMS, metadata.namespace ?? 'default', name)
    const volumeName = claim?.spec.volumeName
    const volume = volumeName === undefined ? undefined : await find(client, VOLUMES, undefined, volumeName)
    const place = volume && (volume.spec.local || volume.spec.hostPath ? 'node' : 'elsewhere')
    const terms = volume?.spec.nodeAffinity?.required?.nodeSelectorTerms
    return [name, { place, accessModes: claim?.spec.accessModes ?? [], ...(terms ? { terms } : {}) }]
  })
  return Object.fromEntries(await Promise.all(facts))
}

async function find<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  namespace: string | undefined,
  name: string,
): Promise<T | undefined> {
  try {
    return await client.get(resource, namespace, name)
  } catch (error) {
    if (isForbidden(error) || isNotFound(error)) return undefined
    throw error
  }
}
