/** A preflight check: pure, so that the same list serves the Accepted condition, a dry run and the doctor. */
import type { Node, Pod } from '../../api/pod.ts'
import type { Snapshot } from '../snapshot.ts'

export interface Finding {
  /** One CamelCase word: the reason of the condition. */
  reason: string
  /** What is wrong, which field or setting it concerns, and the remedy. */
  message: string
}

/** What the checks look at once the pod is known to exist and the destination to be chosen. */
export interface Candidate {
  pod: Pod
  source: Node | undefined
  destination: Node | undefined
  destinationName: string
  snapshot: Snapshot
}

export type Check = (candidate: Candidate) => Finding | undefined

/** @returns the first finding, or undefined when all checks pass */
export function firstFinding(checks: readonly Check[], candidate: Candidate): Finding | undefined {
  for (const check of checks) {
    const finding = check(candidate)
    if (finding) return finding
  }
  return undefined
}
