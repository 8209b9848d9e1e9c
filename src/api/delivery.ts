/** How the arrival of a checkpoint image is written down; whoever notices it first writes it, the others find it done. */
import { isTrue, truth, withCondition } from './conditions.ts'
import type { MigrationStatus } from './migration.ts'

interface Arrival {
  container: string
  /** Digest of the manifest in the destination's registry. */
  digest: string
  /** How it was noticed: RegistryEvent, KafkaRecord or FoundInRegistry. */
  via: string
}

/**
 * @param now RFC 3339
 * @returns the status with the arrival noted, or the same object when it says nothing new or the Migration is past it
 */
export function withDelivery(status: MigrationStatus, arrival: Arrival, now: string): MigrationStatus {
  const known = status.containers?.find((container) => container.name === arrival.container)
  // In mode Live Delivered speaks of pages, and no image can bring those.
  if (!known || status.mode === 'Live' || !isTrue(status, 'Checkpointed')) return status
  if (truth(status, 'Delivered') !== 'Unknown') return status
  const containers = (status.containers ?? []).map((container) =>
    container.name === arrival.container ? { ...container, digest: arrival.digest } : container,
  )
  const next = { ...status, containers }
  if (containers.some((container) => container.digest === undefined))
    return known.digest === arrival.digest ? status : next
  const message = `${containers.length} checkpoint image(s) in the registry of node ${status.destination?.node}`
  return withCondition(next, { type: 'Delivered', status: 'True', reason: arrival.via, message }, now)
}
