/** What the destination agent does next. Pure: a function of the status alone. */
import { isFalse, isFinished, isTrue, truth } from '../../api/conditions.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import { awaitsReturn } from '../../api/recreated.ts'

export type DestinationAction =
  | { do: 'wait' }
  /** Looks whether this node can take the pod. */
  | { do: 'prepare' }
  /** Asks the registry whether all images are there. */
  | { do: 'checkDelivery' }
  /** Asks the runtime what became of the restore. */
  | { do: 'observe' }
  /** It runs from the checkpoint: takes the checkpoint away and leaves an ordinary image under its name. */
  | { do: 'settle' }
  /** The restore failed: takes away what could start, and proves that nothing runs. */
  | { do: 'remove' }
  /** It was aborted: takes everything away. */
  | { do: 'cleanUp' }

const WAIT: DestinationAction = { do: 'wait' }

/**
 * @param self this agent's node
 * @returns `wait` when it is somebody else's turn
 */
export function plan(status: MigrationStatus | undefined, self: string): DestinationAction {
  if (status?.destination?.node !== self || !isTrue(status, 'Accepted')) return WAIT
  if (isFinished(status) || status.destination.cleanedAt !== undefined) return WAIT
  if (isFalse(status, 'Committed')) return { do: 'cleanUp' }
  return isTrue(status, 'Committed') ? afterCommit(status) : beforeCommit(status)
}

function beforeCommit(status: MigrationStatus): DestinationAction {
  const ready = truth(status, 'DestinationReady')
  if (ready === 'Unknown') return { do: 'prepare' }
  const isDue = ready === 'True' && isTrue(status, 'Checkpointed') && truth(status, 'Delivered') === 'Unknown'
  return isDue ? { do: 'checkDelivery' } : WAIT
}

function afterCommit(status: MigrationStatus): DestinationAction {
  if (isTrue(status, 'Restored')) return { do: 'settle' }
  if (isFalse(status, 'Restored')) return { do: 'remove' }
  return { do: awaitsReturn(status) ? 'checkDelivery' : 'observe' }
}
