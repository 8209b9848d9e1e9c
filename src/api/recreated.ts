/**
 * A pod whose object goes before the destination is made: of a StatefulSet, as both have one name; or with claims that only one node
 * may have at a time. docs/design/0003-owners.md.
 */
import { condition, isFalse, isTrue, truth } from './conditions.ts'
import type { MigrationStatus } from './migration.ts'

/** The StatefulSet has no place for such a pod any more: nobody will make it, and nobody wants its state. */
export const OWNER_GONE = 'OwnerGone'

export const isRecreated = (status: MigrationStatus | undefined): boolean => status?.source?.recreated === true

/** It could not be restored where it was to go, and comes back to where it was, from the copy kept there. */
export const isSentBack = (status: MigrationStatus | undefined): boolean =>
  isRecreated(status) && isTrue(status, 'Committed') && status?.destination?.node === status?.source?.node

/** @returns whether the checkpoint is to be brought into the source node's own registry */
export const awaitsReturn = (status: MigrationStatus | undefined): boolean =>
  isSentBack(status) && truth(status, 'Restored') === 'Unknown' && truth(status, 'Delivered') === 'Unknown'

/** @returns whether nothing is left to be tried: the kept copy could not be restored either, or nobody wants it */
export const isHopeless = (status: MigrationStatus | undefined): boolean =>
  isFalse(status, 'Restored') && (isSentBack(status) || condition(status, 'Restored')?.reason === OWNER_GONE)
