/** What changed between two looks at a Migration, for logs and programs. Pure. */
import { CONDITION_TYPES, condition, phaseOf } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'

/** One JSON object of `-o json` while waiting. */
export interface Transition {
  time: string
  namespace: string
  name: string
  pod: string
  phase: string
  condition: string
  status: 'True' | 'False' | 'Unknown'
  reason: string
  message: string
}

/** @returns the conditions that have another truth or reason than before, in the order of the steps; without `Failed`, the mirror, and a summary that is still open */
export function transitionsOf(before: Migration | undefined, after: Migration): Transition[] {
  return CONDITION_TYPES.filter((type) => type !== 'Failed').flatMap((type) => {
    const [was, is] = [condition(before?.status, type), condition(after.status, type)]
    if (!is || (was?.status === is.status && was.reason === is.reason)) return []
    if (type === 'Succeeded' && is.status === 'Unknown') return []
    const { metadata, spec, status } = after
    return {
      time: is.lastTransitionTime,
      namespace: metadata.namespace ?? 'default',
      name: metadata.name,
      pod: spec.podName,
      phase: phaseOf(status),
      condition: type,
      status: is.status,
      reason: is.reason,
      message: is.message,
    }
  })
}

/** @returns for instance `2026-01-02T03:04:05.678Z counter-x7k2p Checkpointed=True PodFrozen: …` */
export function formatTransition({ time, name, condition: type, status, reason, message }: Transition): string {
  return `${time} ${name} ${type}=${status} ${reason}${message === '' ? '' : `: ${message}`}`
}
