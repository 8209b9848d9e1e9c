/** Step 2: can this node take the pod? */
import type { Migration } from '../../api/migration.ts'
import type { Pod } from '../../api/pod.ts'
import { PodferryError } from '../../errors.ts'
import type { CriClient } from '../runtime/cri.ts'
import { type RestoreSupport, restoreSupport } from '../runtime/restore-support.ts'
import { checkRoom, expectedBytes, type Places } from './room.ts'

export interface Readiness {
  status: 'True' | 'False' | 'Unknown'
  reason: string
  message: string
  imagesMissing: readonly string[]
}

interface Facts {
  support: RestoreSupport
  /** Base images that the node lacks, as repository@digest. */
  missing: readonly string[]
  /** What asking the registry failed with; undefined when it answers. */
  registryError: string | undefined
  /** Undefined when there is room. */
  roomError: string | undefined
  /** Milliseconds since the Migration was accepted. */
  waitedMs: number
}

/** A registry that is being replaced is back within this time. */
const REGISTRY_PATIENCE_MS = 15_000

/** Pure. What nobody can mend by waiting comes first. */
export function judgeReadiness({ support, missing, registryError, roomError, waitedMs }: Facts): Readiness {
  const no = (reason: string, message: string): Readiness => ({ status: 'False', reason, message, imagesMissing: [] })
  if (!support.able) return no('RestoreNotSupported', support.message)
  if (roomError !== undefined) return no('DiskTooSmall', roomError)
  if (registryError !== undefined) {
    const message = `the registry on the destination node does not answer (${registryError}); see the pods of DaemonSet podferry-system/podferry-registry there`
    const status = waitedMs < REGISTRY_PATIENCE_MS ? 'Unknown' : 'False'
    return { status, reason: 'NoRegistry', message, imagesMissing: [...missing] }
  }
  if (missing.length > 0) {
    const message = `the destination node lacks ${missing.join(', ')}`
    return { status: 'Unknown', reason: 'ImagesMissing', message, imagesMissing: [...missing] }
  }
  const message = 'images, runtime, registry and disk are ready'
  return { status: 'True', reason: 'Ready', message, imagesMissing: [] }
}

interface PrepareDependencies {
  cri: CriClient
  registry: { ping(): Promise<void> }
  places: Places
  /** Whether podferry's own OCI runtime can restore here. */
  wrapper(): RestoreSupport
}

/** @param source the pod to be moved, for what it may weigh; undefined when it is gone */
export async function prepare(
  { cri, registry, places, wrapper }: PrepareDependencies,
  { status }: Migration,
  source: Pod | undefined,
  now: Date,
): Promise<Readiness> {
  const [version, info, images, registryError, roomError] = await Promise.all([
    cri.version(),
    cri.statusInfo(),
    Promise.all((status?.containers ?? []).map(async ({ imageID }) => ((await cri.image(imageID)) ? [] : [imageID]))),
    registry.ping().then(() => undefined, wordsOf),
    checkRoom(places, expectedBytes(status, source)).then(() => undefined, reportedRoom),
  ])
  return judgeReadiness({
    support: status?.destination?.restorer === 'Wrapper' ? wrapper() : restoreSupport(version, info),
    missing: [...new Set(images.flat())],
    registryError,
    roomError,
    waitedMs: now.getTime() - Date.parse(status?.timings?.acceptedAt ?? now.toISOString()),
  })
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function reportedRoom(error: unknown): string {
  if (error instanceof PodferryError && error.reason === 'DiskTooSmall') return error.message
  throw error
}
