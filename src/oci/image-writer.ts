/** Pushes ordinary images, so that building podferry's own image needs no Docker daemon. */
import type { RegistryTarget } from './http.ts'
import { CONFIG_TYPE, type Descriptor, LAYER_TYPE, MANIFEST_TYPE } from './media-types.ts'
import { RegistryClient } from './registry-client.ts'

/** The execution parameters of the OCI image configuration that we use, named as the specification names them. */
export interface ImageConfig {
  Entrypoint?: string[]
  Cmd?: string[]
  Env?: string[]
  WorkingDir?: string
  User?: string
}

/** A layer whose digest is known, so that a registry that has it is not sent it again. */
export interface KnownLayer {
  digest: string
  size: number
  open(): AsyncIterable<Uint8Array>
}

interface PushImageOptions {
  registry: RegistryTarget
  repository: string
  tag: string
  /** Uncompressed tars, lowest first. */
  layers: (AsyncIterable<Uint8Array> | KnownLayer)[]
  config: ImageConfig
  /** As Go names it: amd64, arm64. */
  architecture: string
}

/**
 * @returns the manifest's digest
 * @throws PodferryError when the registry refuses
 */
export async function pushImage({
  registry,
  repository,
  tag,
  layers,
  config,
  architecture,
}: PushImageOptions): Promise<{ digest: string }> {
  const client = new RegistryClient(registry)
  const pushed: Descriptor[] = []
  for (const layer of layers) pushed.push(await pushLayer(client, repository, layer))
  const rootfs = { type: 'layers', diff_ids: pushed.map(({ digest }) => digest) }
  const bytes = Buffer.from(JSON.stringify({ architecture, os: 'linux', config, rootfs }))
  const described = await client.uploadBytes(repository, CONFIG_TYPE, bytes)
  const manifest = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config: described, layers: pushed } as const
  return { digest: await client.putManifest(repository, tag, { ...manifest, layers: pushed }) }
}

async function pushLayer(
  client: RegistryClient,
  repository: string,
  layer: PushImageOptions['layers'][number],
): Promise<Descriptor> {
  if (!('open' in layer)) return client.uploadBlob(repository, LAYER_TYPE, layer)
  const { digest, size } = layer
  if (await client.hasBlob(repository, digest)) return { mediaType: LAYER_TYPE, digest, size }
  return client.uploadBlob(repository, LAYER_TYPE, layer.open())
}
