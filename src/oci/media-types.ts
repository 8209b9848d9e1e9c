/** Media types of the OCI image specification, version 1.1. */
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
export const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'

/** A content descriptor: `size` in bytes, `digest` as `sha256:<hex>`. */
export interface Descriptor {
  mediaType: string
  digest: string
  size: number
}

export interface Manifest {
  schemaVersion: 2
  mediaType: typeof MANIFEST_TYPE
  config: Descriptor
  layers: Descriptor[]
  annotations?: Record<string, string>
}
