/** A pod and its owner; of a ReplicaSet, what marks on the pod release it, and what marks hand it back. Pure. */
import type { Migration, MigrationStatus } from '../api/migration.ts'
import { DELETION_COST_ANNOTATION, HASH_LABEL, KUBERNETES_DELETION_COST, REVISION_LABEL } from '../api/names.ts'
import type { Pod, ReplicaSet, StatefulSet } from '../api/pod.ts'

export type Owner = NonNullable<NonNullable<MigrationStatus['source']>['owner']>

/** As they enter a merge patch. */
export interface PodMarks {
  labels?: Record<string, string | null>
  annotations?: Record<string, string | null>
}

/** The highest there is: of two pods that are alike in all else, the ReplicaSet keeps this one. */
const DEAREST = '2147483647'

export const controllerOf = ({ metadata }: Pod) => metadata.ownerReferences?.find((reference) => reference.controller)

export const isStatefulPod = (pod: Pod): boolean => {
  const reference = controllerOf(pod)
  return reference?.kind === 'StatefulSet' && reference.apiVersion.startsWith('apps/')
}

/** @returns why this StatefulSet makes no pod of that name any more, or undefined while it does */
export function goneFrom(set: StatefulSet | undefined, owner: Owner, podName: string): string | undefined {
  const whose = `StatefulSet ${owner.name}`
  if (set?.metadata.uid !== owner.uid || set.metadata.deletionTimestamp) return `${whose} is gone or being deleted`
  const { replicas = 1, ordinals } = set.spec
  const start = ordinals?.start ?? 0
  const ordinal = Number(podName.slice(podName.lastIndexOf('-') + 1))
  return ordinal >= start && ordinal < start + replicas
    ? undefined
    : `${whose} was scaled down and has no pod ${podName}`
}

/** @returns the owner as it enters the status, or undefined for a pod without one that podferry can work with */
export function ownerOf(pod: Pod): Owner | undefined {
  const reference = controllerOf(pod)
  if (reference && isStatefulPod(pod)) {
    const { name, uid } = reference
    return { kind: 'StatefulSet', name, uid, hash: pod.metadata.labels?.[REVISION_LABEL] ?? '' }
  }
  const hash = pod.metadata.labels?.[HASH_LABEL]
  if (reference?.kind !== 'ReplicaSet' || !reference.apiVersion.startsWith('apps/') || hash === undefined)
    return undefined
  return { kind: 'ReplicaSet', name: reference.name, uid: reference.uid, hash }
}

const releasedHash = ({ metadata }: Migration): string => `podferry-${metadata.uid}`

export const isReleased = (migration: Migration, pod: Pod): boolean =>
  pod.metadata.labels?.[HASH_LABEL] === releasedHash(migration)

/** The ReplicaSet no longer knows the pod; should it know it again one day, it keeps it. */
export function releaseMarks(migration: Migration, { metadata: { annotations } }: Pod): PodMarks {
  return {
    labels: { [HASH_LABEL]: releasedHash(migration) },
    annotations: {
      [KUBERNETES_DELETION_COST]: DEAREST,
      [DELETION_COST_ANNOTATION]:
        annotations?.[DELETION_COST_ANNOTATION] ?? annotations?.[KUBERNETES_DELETION_COST] ?? '',
    },
  }
}

/** The ReplicaSet adopts the pod. */
export const returnMarks = ({ hash }: Owner): PodMarks => ({ labels: { [HASH_LABEL]: hash } })

export const isDear = ({ metadata }: Pod): boolean => metadata.annotations?.[DELETION_COST_ANNOTATION] !== undefined

/** As it was before the move. */
export const settleMarks = ({ metadata }: Pod): PodMarks => ({
  annotations: {
    [KUBERNETES_DELETION_COST]: metadata.annotations?.[DELETION_COST_ANNOTATION] || null,
    [DELETION_COST_ANNOTATION]: null,
  },
})

/** @returns whether the ReplicaSet has taken the pod back and has no more pods than it wants */
export const isSettled = ({ metadata, spec, status }: ReplicaSet, pod: Pod): boolean =>
  controllerOf(pod)?.uid === metadata.uid &&
  status?.observedGeneration === metadata.generation &&
  (status?.replicas ?? 0) <= (spec.replicas ?? 1)

/** A released source as it was before: what the destination is made from. */
export function unmarked(pod: Pod, owner: Owner): Pod {
  const { metadata } = pod
  const {
    [DELETION_COST_ANNOTATION]: kept,
    [KUBERNETES_DELETION_COST]: _dear,
    ...annotations
  } = metadata.annotations ?? {}
  const cost = kept ? { [KUBERNETES_DELETION_COST]: kept } : {}
  const labels = { ...metadata.labels, [HASH_LABEL]: owner.hash }
  return { ...pod, metadata: { ...metadata, labels, annotations: { ...annotations, ...cost } } }
}
