/** Events for people: one for each condition that settles, on the Migration and on the pod, whoever wrote the condition. */
import { CONDITION_TYPES, condition } from '../api/conditions.ts'
import type { Condition, Migration } from '../api/migration.ts'
import type { KubeObject } from '../kube/resource.ts'

export interface Transition {
  type: 'Normal' | 'Warning'
  reason: string
  message: string
}

/** `Failed` mirrors `Succeeded`; one of the two is enough to read. */
const TOLD = CONDITION_TYPES.filter((type) => type !== 'Failed')

/** @returns what is new in `after`, oldest condition first */
export function transitions(before: Migration | undefined, after: Migration): Transition[] {
  return TOLD.flatMap((type) => {
    const [was, is] = [condition(before?.status, type), condition(after.status, type)]
    return is && is.status !== 'Unknown' && is.status !== was?.status ? [toTransition(type, is)] : []
  })
}

const toTransition = (type: string, { status, reason, message }: Condition): Transition =>
  status === 'True'
    ? { type: 'Normal', reason: type, message }
    : { type: 'Warning', reason, message: `${type} is False: ${message}` }

/** The pod's own history (kubectl describe pod) tells of its move too. */
export const podReference = ({ metadata, spec, status }: Migration): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: spec.podName,
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    ...(status?.source ? { uid: status.source.podUID } : {}),
  },
})
