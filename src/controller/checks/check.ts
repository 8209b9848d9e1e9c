/** A preflight check: pure, so that the same list serves the Accepted condition, a dry run and the doctor. */
import type { Finding } from '../../api/finding.ts'
import type { Node, Pod } from '../../api/pod.ts'
import type { Snapshot } from '../snapshot.ts'

/** What the checks look at once the pod is known to exist and the destination to be chosen. */
export interface Candidate {
  pod: Pod
  source: Node | undefined
  destination: Node | undefined
  destinationName: string
  snapshot: Snapshot
}

export type Check = (candidate: Candidate) => Finding | readonly Finding[] | undefined

/** @returns all findings, in the order of the checks */
export const findingsOf = (checks: readonly Check[], candidate: Candidate): Finding[] =>
  checks.flatMap((check) => check(candidate) ?? [])
