/** What a step may decide. A plan either writes the status or gives commands, never both: decisions are durable before effects. */
import { type ConditionUpdate, phaseOf, withCondition } from '../api/conditions.ts'
import type { Refusal } from '../api/finding.ts'
import type { MigrationStatus } from '../api/migration.ts'
import type { Pod } from '../api/pod.ts'
import type { PodMarks } from './owner.ts'
import type { NewPod } from './pods.ts'
import type { Snapshot } from './snapshot.ts'

type PodRole = 'source' | 'destination' | 'pull'

export type Command =
  | { do: 'addFinalizer' }
  | { do: 'removeFinalizer' }
  | { do: 'deleteMigration' }
  /** A person's word was taken, or does not count: then `why` is told. */
  | { do: 'dropRecovery'; why?: string }
  | { do: 'createPod'; role: PodRole; pod: NewPod }
  | { do: 'deletePod'; role: PodRole; name: string; uid: string; graceSeconds: number }
  /** Labels and annotations of exactly this version of the source pod; null takes one away. */
  | { do: 'markPod'; pod: Pod; why: 'release' | 'handBack' | 'settle' | 'adopt'; marks: PodMarks }

export interface Plan {
  /** The whole next status, to be written with the snapshot's resourceVersion as precondition. */
  status?: MigrationStatus
  commands?: Command[]
  /** Look again after this time even if nothing wakes us. */
  requeueAfterMs?: number
}

/** @returns what to do now, or undefined when this step has nothing to say and the next one is asked */
export type Step = (snapshot: Snapshot, now: Date) => Plan | undefined

/** Nothing to do until somebody else writes. */
export const WAIT: Plan = {}

/** A plan that writes conditions (and other fields) in one go. */
export function write(
  { migration }: Snapshot,
  now: Date,
  conditions: ConditionUpdate[],
  fields: Partial<MigrationStatus> = {},
): Plan {
  const generation = migration.metadata.generation
  let status: MigrationStatus = { ...migration.status, ...fields }
  if (generation !== undefined) status.observedGeneration = generation
  for (const update of conditions) status = withCondition(status, update, now.toISOString(), generation)
  return { status: { ...status, phase: phaseOf(status) } }
}

/** What the failure field keeps of a refusal. */
export const failureOf = (
  { reason, message }: Refusal,
  criuLog?: string[],
): NonNullable<MigrationStatus['failure']> => ({
  reason,
  message,
  ...(criuLog && criuLog.length > 0 ? { criuLog } : {}),
})

/** @returns the command that removes the pull pod, or undefined when there is none or it is on its way out */
export function pullPodRemoval({ pullPod }: Snapshot): Plan | undefined {
  if (!pullPod) return undefined
  if (pullPod.metadata.deletionTimestamp) return { requeueAfterMs: 500 }
  const { name, uid } = pullPod.metadata
  return { commands: [{ do: 'deletePod', role: 'pull', name, uid, graceSeconds: 0 }], requeueAfterMs: 500 }
}
