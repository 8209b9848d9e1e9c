/**
 * A person's word that the destination node is off, as `podferry recover` gives it. Given too early, or overtaken by the node
 * itself, it is thrown away, so that it can't strike at a later outage.
 */
import type { ConditionUpdate } from '../../api/conditions.ts'
import { RECOVER_ANNOTATION, RESUME_SOURCE } from '../../api/names.ts'
import { failureOf, type Plan, type Step, write } from '../step.ts'
import { isByPerson, lostCondition, personsMessage, RECOVERED } from './outage.ts'

export const recover: Step = (snapshot, now) => {
  const { metadata, status } = snapshot.migration
  const word = metadata.annotations?.[RECOVER_ANNOTATION]
  if (word === undefined) return undefined
  if (isByPerson(snapshot)) return drop()
  if (word !== RESUME_SOURCE) return drop(`annotation ${RECOVER_ANNOTATION} knows the value ${RESUME_SOURCE} only`)
  const type = lostCondition(snapshot)
  if (!type) return drop('the destination is not lost (DestinationLost), or was seen meanwhile')
  const finding = { reason: RECOVERED, message: personsMessage(snapshot) }
  const decided: ConditionUpdate[] = type === 'Succeeded' ? [] : [{ type, status: 'False', ...finding }]
  return write(snapshot, now, [...decided, { type: 'Succeeded', status: 'Unknown', ...finding }], {
    failure: status?.failure ?? failureOf(finding),
  })
}

const drop = (why?: string): Plan => ({
  commands: [{ do: 'dropRecovery', ...(why === undefined ? {} : { why }) }],
  requeueAfterMs: 1000,
})
