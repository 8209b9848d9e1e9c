/** The effects that the destination side needs, so that tests run the same code on fakes and scratch folders. */
import type { RegistryClient } from '../../oci/registry-client.ts'
import type { Uploads } from '../peer/uploads.ts'
import type { ContainerdImages } from '../runtime/containerd-images.ts'
import type { CriClient } from '../runtime/cri.ts'
import type { RestoreSupport } from '../runtime/restore-support.ts'
import type { RestoreLogs } from './restore-log.ts'
import type { Places } from './room.ts'

export interface DestinationDependencies {
  cri: CriClient
  /** Undefined where the runtime is not containerd. */
  images: ContainerdImages | undefined
  /** The node's own registry. */
  registry: RegistryClient
  places: Places
  /** Shared with the peer server. */
  uploads: Uploads
  restoreLogs: RestoreLogs
  /** Whether podferry's own OCI runtime can restore here. */
  wrapper(): RestoreSupport
}
