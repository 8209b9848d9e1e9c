/** From the source's stream into this node's registry. */
import { PodferryError } from '../../errors.ts'
import { pushCheckpointImage } from '../../oci/checkpoint-image.ts'
import { REGISTRY_URL } from '../../oci/repository.ts'
import type { ArrivedArchive } from '../peer/server.ts'
import type { CriClient } from '../runtime/cri.ts'

const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, string>>> = { x64: 'amd64', arm64: 'arm64' }

/**
 * For `store` of the peer server.
 *
 * @param registryURL the node's own registry; another one only in tests
 * @throws PodferryError when the registry refuses or breaks off, or this architecture has no name in OCI images
 */
export function createStore(cri: CriClient, registryURL = REGISTRY_URL) {
  return async ({ namespace, migrationUID, container, migration, body, signal }: ArrivedArchive) => {
    const architecture = ARCHITECTURES[process.arch]
    if (architecture === undefined) {
      const message = `nodes of architecture ${process.arch} are not supported; podferry runs on x64 and arm64`
      throw new PodferryError({ reason: 'ArchitectureNotSupported', message })
    }
    const imageID = migration.status?.containers?.find(({ name }) => name === container)?.imageID ?? ''
    const base = await cri.image(imageID)
    // Kubelet checks runAsNonRoot against the image's user, so the checkpoint carries that of its base.
    const user = base?.username || base?.uid?.value
    const registry = { url: registryURL }
    const name = { namespace, migrationUID, container }
    return await pushCheckpointImage({
      ...name,
      registry,
      archive: body,
      architecture,
      signal,
      ...(user === undefined ? {} : { user }),
    })
  }
}
