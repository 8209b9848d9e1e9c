/**
 * The destination node went silent after the commit. It may run the pod or not: nothing is assumed, the source stays fenced until
 * the node or a person speaks.
 */
import { type ConditionType, condition, isTrue, rollbackCause, truth } from '../../api/conditions.ts'
import { isNodeReady } from '../../api/pod.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Plan, write } from '../step.ts'

const LOST = 'DestinationLost'
const LOOK_MS = 5000

/** @returns the register that is open after the commit: the destination's agent owes it */
function owed({ migration: { status } }: Snapshot): ConditionType | undefined {
  if (!isTrue(status, 'Committed') || rollbackCause(status)) return undefined
  if (truth(status, 'Restored') === 'Unknown') return 'Restored'
  return status?.mode === 'Live' && truth(status, 'Delivered') === 'Unknown' ? 'Delivered' : undefined
}

/** What is said of this outage; of another one, later, it would be another sentence. */
function words(snapshot: Snapshot): string {
  const name = snapshot.migration.status?.destination?.node
  const ready = nodeNamed(snapshot, name)?.status?.conditions?.find(({ type }) => type === 'Ready')
  const since = ready?.lastTransitionTime === undefined ? '' : ` (not Ready since ${ready.lastTransitionTime})`
  return `node ${name} went silent after the commit${since}; the source stays frozen until the node is back. If it is off for good: podferry recover --resume-source`
}

/** @returns the register that `DestinationLost` stands in, as long as it is the outage that was told of */
export function lostRegister(snapshot: Snapshot): ConditionType | undefined {
  const { status } = snapshot.migration
  const type = owed(snapshot)
  const told = type && condition(status, type)
  if (told?.reason !== LOST || isNodeReady(nodeNamed(snapshot, status?.destination?.node))) return undefined
  return told.message === words(snapshot) ? type : undefined
}

/** @returns what to write when the node goes or comes back, and the waiting in between; undefined while it is there */
export function outage(snapshot: Snapshot, now: Date): Plan | undefined {
  const { status } = snapshot.migration
  const type = owed(snapshot)
  if (!type) return undefined
  const told = condition(status, type)?.reason === LOST
  const open = (reason: string, message: string) => write(snapshot, now, [{ type, status: 'Unknown', reason, message }])
  if (!isNodeReady(nodeNamed(snapshot, status?.destination?.node))) {
    return lostRegister(snapshot) ? { requeueAfterMs: LOOK_MS } : open(LOST, words(snapshot))
  }
  return told ? open('DestinationBack', `node ${status?.destination?.node} is back; the move goes on`) : undefined
}
