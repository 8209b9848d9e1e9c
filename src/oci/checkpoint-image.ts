/**
 * The smallest image that containerd and CRI-O both take for a checkpoint: the kubelet's archive, byte for byte, as the single
 * uncompressed layer. Unchanged means that its digest is the diff ID too, so nothing is packed twice.
 */
import type { RegistryTarget } from './http.ts'
import { CONFIG_TYPE, type Descriptor, LAYER_TYPE, MANIFEST_TYPE, type Manifest } from './media-types.ts'
import { RegistryClient } from './registry-client.ts'
import { CHECKPOINT_TAG, type CheckpointName, checkpointRepository } from './repository.ts'

interface PushOptions extends CheckpointName {
  registry: RegistryTarget
  archive: AsyncIterable<Uint8Array>
  /** As Go names it: amd64, arm64. The runtime unpacks only an image of its own architecture. */
  architecture: string
  /** The base image's user: kubelet checks runAsNonRoot against it. */
  user?: string
  signal?: AbortSignal
}

interface PushedImage {
  manifestDigest: string
  layerDigest: string
  configDigest: string
  /** Bytes of the archive. */
  size: number
}

/** Streams an archive into a registry and names it. On failure the upload is cancelled and no image appears. */
export async function pushCheckpointImage({
  registry,
  archive,
  architecture,
  user,
  signal,
  ...name
}: PushOptions): Promise<PushedImage> {
  const client = new RegistryClient(registry)
  const repository = checkpointRepository(name)
  const layer = await client.uploadBlob(repository, LAYER_TYPE, archive, signal)
  const config = await client.uploadBytes(
    repository,
    CONFIG_TYPE,
    checkpointConfig({ ...name, layer, architecture, user }),
    signal,
  )
  const manifest = checkpointManifest(name.container, config, layer)
  const manifestDigest = await client.putManifest(repository, CHECKPOINT_TAG, manifest, signal)
  return { manifestDigest, layerDigest: layer.digest, configDigest: config.digest, size: layer.size }
}

interface ConfigOptions extends CheckpointName {
  layer: Descriptor
  architecture: string
  user: string | undefined
}

/** The labels make every config unique to its Migration: removing one can't take away another's. */
export function checkpointConfig({ layer, architecture, user, migrationUID, container }: ConfigOptions): Buffer {
  const labels = { 'podferry.dev/migration-uid': migrationUID, 'podferry.dev/container': container }
  return Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      config: { ...(user ? { User: user } : {}), Labels: labels },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    }),
  )
}

/** A single manifest, never inside an index: CRI-O reads annotations of the top manifest only. */
export const checkpointManifest = (container: string, config: Descriptor, layer: Descriptor): Manifest => ({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config,
  layers: [layer],
  annotations: {
    'org.criu.checkpoint.container.name': container,
    'io.kubernetes.cri-o.annotations.checkpoint.name': container,
  },
})
