/**
 * The brain of the controller: what is the next thing to do for this Migration? Pure and synchronous.
 *
 * Steps are asked in order; the first that has something to say decides. A plan either writes the status or gives commands,
 * so that every effect follows from a decision that is already durable.
 */
import type { Snapshot } from './snapshot.ts'
import { type Plan, type Step, WAIT } from './step.ts'
import { abort } from './steps/abort.ts'
import { accept } from './steps/accept.ts'
import { guard, retire } from './steps/housekeeping.ts'
import { openDestination } from './steps/open-destination.ts'
import { commit, pullImages } from './steps/prepare.ts'
import { recover } from './steps/recover.ts'
import { releaseSource } from './steps/release-source.ts'
import { removeSource } from './steps/remove-source.ts'
import { restore, restoreLive } from './steps/restore.ts'
import { restoreRecreated } from './steps/restore-recreated.ts'
import { refusal, rollback } from './steps/rollback.ts'

const STEPS: readonly Step[] = [
  retire,
  guard,
  accept,
  refusal,
  abort,
  openDestination,
  releaseSource,
  pullImages,
  commit,
  recover,
  restoreRecreated,
  restore,
  restoreLive,
  removeSource,
  rollback,
]

/** @returns the next thing to do; an empty plan means that somebody else is to act */
export function plan(snapshot: Snapshot, now: Date): Plan {
  for (const step of STEPS) {
    const decision = step(snapshot, now)
    if (decision) return decision
  }
  return WAIT
}
