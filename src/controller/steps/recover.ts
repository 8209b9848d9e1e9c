/**
 * A person's word that the destination node is off. It counts only against the outage that the status tells of: one that is
 * taken back by the node itself, or is given too early, is thrown away, so that it can't strike at a later outage.
 */
import { rollbackCause } from '../../api/conditions.ts'
import { RECOVER_ANNOTATION, RESUME_SOURCE } from '../../api/names.ts'
import { failureOf, type Step, write } from '../step.ts'
import { lostRegister } from './outage.ts'

export const RECOVERED = 'RecoveredByPerson'

export const recover: Step = (snapshot, now) => {
  const { metadata, status } = snapshot.migration
  const word = metadata.annotations?.[RECOVER_ANNOTATION]
  if (word === undefined) return undefined
  const drop = (why?: string) => ({
    commands: [{ do: 'dropRecovery', ...(why === undefined ? {} : { why }) } as const],
    requeueAfterMs: 1000,
  })
  if (rollbackCause(status)?.reason === RECOVERED) return drop()
  if (word !== RESUME_SOURCE) return drop(`annotation ${RECOVER_ANNOTATION} knows the value ${RESUME_SOURCE} only`)
  const type = lostRegister(snapshot)
  if (!type) return drop('the destination is not lost (DestinationLost), or was seen meanwhile')
  const finding = {
    reason: RECOVERED,
    message: `by a person's word node ${status?.destination?.node} is off; the source goes on as it was at the commit`,
  }
  return write(snapshot, now, [{ type, status: 'False', ...finding }], {
    failure: status?.failure ?? failureOf(finding),
  })
}
