/** A pod and its owner; of a ReplicaSet or a Job, what marks on the pod release it, and what marks hand it back. Pure. */
import type { Migration, MigrationStatus } from '../api/migration.ts'
import {
  DELETION_COST_ANNOTATION,
  HASH_LABEL,
  JOB_LABEL,
  KUBERNETES_DELETION_COST,
  REVISION_LABEL,
} from '../api/names.ts'
import { isJobFinished, type Job, type Pod, type ReplicaSet, type StatefulSet } from '../api/pod.ts'

export type Owner = NonNullable<NonNullable<MigrationStatus['source']>['owner']>

/** What was read under an owner's kind and name; by its UID it is known to be that. */
export type FoundOwner = ReplicaSet | StatefulSet | Job

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

/**
 * A volume is free for another node when kubelet has let go of it; and of one name there is one pod.
 *
 * @returns whether in mode Image the pod's object has to go before the destination is made
 */
export const mustGoFirst = (pod: Pod): boolean =>
  isStatefulPod(pod) || (controllerOf(pod) === undefined && hasClaims(pod))

const hasClaims = ({ spec }: Pod): boolean => spec.volumes?.some((volume) => volume.persistentVolumeClaim) ?? false

/** @returns why this StatefulSet makes no pod of that name any more, or undefined while it does */
export function goneFrom(found: FoundOwner | undefined, owner: Owner, podName: string): string | undefined {
  const whose = `StatefulSet ${owner.name}`
  if (found?.metadata.uid !== owner.uid || found.metadata.deletionTimestamp) return `${whose} is gone or being deleted`
  const { replicas = 1, ordinals } = (found as StatefulSet).spec
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
  const job = pod.metadata.labels?.[JOB_LABEL]
  if (reference?.kind === 'Job' && reference.apiVersion.startsWith('batch/') && job !== undefined)
    return { kind: 'Job', name: reference.name, uid: reference.uid, hash: job }
  const hash = pod.metadata.labels?.[HASH_LABEL]
  if (reference?.kind !== 'ReplicaSet' || !reference.apiVersion.startsWith('apps/') || hash === undefined)
    return undefined
  return { kind: 'ReplicaSet', name: reference.name, uid: reference.uid, hash }
}

export const isJobs = (status: MigrationStatus | undefined): boolean => status?.source?.owner?.kind === 'Job'

/** @returns why this Job wants the pod no more, or undefined while it does */
export function jobGone(found: FoundOwner | undefined, owner: Owner): string | undefined {
  if (found?.metadata.uid !== owner.uid || found.metadata.deletionTimestamp)
    return `Job ${owner.name} is gone or being deleted`
  return isJobFinished(found as Job) ? `Job ${owner.name} has finished` : undefined
}

/** @returns the label that takes a pod from this owner, and gives it back */
const labelOf = ({ kind }: Pick<Owner, 'kind'>): string => (kind === 'Job' ? JOB_LABEL : HASH_LABEL)

const releasedHash = ({ metadata }: Migration): string => `podferry-${metadata.uid}`

/** @param pod the source, or of a Job the destination as well: it is no pod of the Job's before it has all its state */
export const isReleased = (migration: Migration, pod: Pod): boolean =>
  [HASH_LABEL, JOB_LABEL].some((label) => pod.metadata.labels?.[label] === releasedHash(migration))

/** The owner no longer knows the pod; should a ReplicaSet know it again one day, it keeps it. */
export function releaseMarks(migration: Migration, { metadata: { annotations } }: Pod): PodMarks {
  if (isJobs(migration.status)) return { labels: { [JOB_LABEL]: releasedHash(migration) } }
  return {
    labels: { [HASH_LABEL]: releasedHash(migration) },
    annotations: {
      [KUBERNETES_DELETION_COST]: DEAREST,
      [DELETION_COST_ANNOTATION]:
        annotations?.[DELETION_COST_ANNOTATION] ?? annotations?.[KUBERNETES_DELETION_COST] ?? '',
    },
  }
}

/** The owner adopts the pod. */
export const returnMarks = (owner: Owner): PodMarks => ({ labels: { [labelOf(owner)]: owner.hash } })

/** Released, and the owner has seen it. */
export const hasLeft = (migration: Migration, pod: Pod, owner: Owner): boolean =>
  isReleased(migration, pod) && !isOwnedBy(pod, owner)

export const isOwnedBy = (pod: Pod, { uid }: Owner): boolean => controllerOf(pod)?.uid === uid

export const isDear = ({ metadata }: Pod): boolean => metadata.annotations?.[DELETION_COST_ANNOTATION] !== undefined

/** As it was before the move. */
export const settleMarks = ({ metadata }: Pod): PodMarks => ({
  annotations: {
    [KUBERNETES_DELETION_COST]: metadata.annotations?.[DELETION_COST_ANNOTATION] || null,
    [DELETION_COST_ANNOTATION]: null,
  },
})

/** @returns whether the ReplicaSet has taken the pod back and has no more pods than it wants */
export function isSettled(found: FoundOwner, pod: Pod): boolean {
  const { metadata, spec, status } = found as ReplicaSet
  return (
    controllerOf(pod)?.uid === metadata.uid &&
    status?.observedGeneration === metadata.generation &&
    (status?.replicas ?? 0) <= (spec.replicas ?? 1)
  )
}

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
