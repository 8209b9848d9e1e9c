/**
 * The destination node went silent after the commit. It may run the pod or not: nothing is assumed, the source stays fenced until
 * the node or a person speaks. A person's word counts for the one outage that it was said of.
 */
import { type ConditionType, condition, isTrue, rollbackCause, truth } from '../../api/conditions.ts'
import { isNodeReady } from '../../api/pod.ts'
import { isRecreated } from '../../api/recreated.ts'
import { nodeNamed, type Snapshot } from '../snapshot.ts'
import { type Plan, write } from '../step.ts'

const LOST = 'DestinationLost'
export const RECOVERED = 'RecoveredByPerson'
const LOOK_MS = 5000

/** @returns where an outage is told: the register that the destination's agent owes, or the summary while it owes `removedAt` */
function owed({ migration: { status } }: Snapshot): ConditionType | undefined {
  if (!isTrue(status, 'Committed')) return undefined
  if (rollbackCause(status)) return status?.destination?.removedAt === undefined ? 'Succeeded' : undefined
  if (truth(status, 'Restored') === 'Unknown') return 'Restored'
  return status?.mode === 'Live' && truth(status, 'Delivered') === 'Unknown' ? 'Delivered' : undefined
}

const destinationNode = (snapshot: Snapshot) => nodeNamed(snapshot, snapshot.migration.status?.destination?.node)

/** Of another outage, later, it would be another sentence. */
function nameOf(snapshot: Snapshot): string {
  const ready = destinationNode(snapshot)?.status?.conditions?.find(({ type }) => type === 'Ready')
  const since = ready?.lastTransitionTime === undefined ? '' : ` (not Ready since ${ready.lastTransitionTime})`
  return `node ${snapshot.migration.status?.destination?.node}${since}`
}

function lostMessage(snapshot: Snapshot): string {
  const { status } = snapshot.migration
  const state = isRecreated(status) ? `its checkpoint stays on node ${status?.source?.node}` : 'the source stays frozen'
  return `${nameOf(snapshot)} went silent after the commit; ${state} until the node is back. If it is off for good: podferry recover --resume-source`
}

/** What the summary says from a person's word on. */
export const personsMessage = (snapshot: Snapshot): string =>
  `by a person's word ${nameOf(snapshot)} is off; the source goes on as it was at the commit`

/** @returns whether `type` tells of the outage of now in these words */
function tells(snapshot: Snapshot, type: ConditionType, reason: string, message: string): boolean {
  const found = condition(snapshot.migration.status, type)
  return found?.reason === reason && found.message === message && !isNodeReady(destinationNode(snapshot))
}

/** @returns the condition that `DestinationLost` stands in, as long as it is the outage that was told of */
export function lostCondition(snapshot: Snapshot): ConditionType | undefined {
  const type = owed(snapshot)
  return type && tells(snapshot, type, LOST, lostMessage(snapshot)) ? type : undefined
}

/** Whether a person's word stands for what the node can't say. A node that answers is asked instead. */
export const isByPerson = (snapshot: Snapshot): boolean =>
  tells(snapshot, 'Succeeded', RECOVERED, personsMessage(snapshot))

/** @returns what to write when the node goes or comes back, and the waiting in between; undefined while nobody is waited for */
export function outage(snapshot: Snapshot, now: Date): Plan | undefined {
  const { status } = snapshot.migration
  const type = owed(snapshot)
  if (!type || isByPerson(snapshot)) return undefined
  const open = (reason: string, message: string) => write(snapshot, now, [{ type, status: 'Unknown', reason, message }])
  if (!isNodeReady(destinationNode(snapshot))) {
    return lostCondition(snapshot) ? { requeueAfterMs: LOOK_MS } : open(LOST, lostMessage(snapshot))
  }
  const told = [LOST, RECOVERED].includes(condition(status, type)?.reason ?? '')
  return told ? open('DestinationBack', `node ${status?.destination?.node} is back; it is asked again`) : undefined
}
