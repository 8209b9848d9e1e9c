/** What the destination agent of a Live Migration does next. Pure: a function of the status alone. */
import { isFalse, isFinished, isTrue, truth } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'

export type LiveDestinationAction =
  | { do: 'wait' }
  /** Opens the staging folders and waits until every container waits at its gate. */
  | { do: 'open' }
  /** Opens the gates, and asks what became of the restore. */
  | { do: 'release' }
  /** It runs from the checkpoint: watches the rest of its memory arrive. */
  | { do: 'watchPages' }
  /** All memory is there: nothing of the move is needed any more. */
  | { do: 'settle' }
  /** It cannot run, or not run on: takes it away, and proves that nothing runs. */
  | { do: 'remove' }
  /** It was aborted before anything ran: takes everything away. */
  | { do: 'cleanUp' }

const WAIT: LiveDestinationAction = { do: 'wait' }

/**
 * @param self this agent's node
 * @returns `wait` when it is somebody else's turn
 */
export function plan(status: MigrationStatus | undefined, self: string): LiveDestinationAction {
  if (status?.destination?.node !== self || status.mode !== 'Live' || !isTrue(status, 'Accepted')) return WAIT
  if (isFinished(status) || status.destination.cleanedAt !== undefined) return WAIT
  if (isFalse(status, 'Committed')) return { do: 'cleanUp' }
  if (isTrue(status, 'Committed')) return afterCommit(status)
  const isOpen = status.destination.podUID !== undefined && truth(status, 'DestinationReady') === 'Unknown'
  return isOpen ? { do: 'open' } : WAIT
}

function afterCommit(status: MigrationStatus): LiveDestinationAction {
  if (isFalse(status, 'Restored') || isFalse(status, 'Delivered')) return { do: 'remove' }
  if (!isTrue(status, 'Restored')) return { do: 'release' }
  return isTrue(status, 'Delivered') ? { do: 'settle' } : { do: 'watchPages' }
}
