/** Which Migration a creation is for, and what the pod becomes: docs/design/0003-owners.md. Pure. */
import { isFalse, isFinished, isTrue, truth } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { CANCEL_ANNOTATION, PROBED_ANNOTATION } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { isJobs, unmarked } from '../owner.ts'
import { destinationPod, waitingPod } from '../pods.ts'
import type { HeldName } from './configuration.ts'
import type { Creation, PatchOperation } from './review.ts'

/** @returns whether this Migration may still get a destination from its owner, so that the webhook has to be asked */
export function needsReplacement({ metadata, status }: Migration): boolean {
  return (
    isTrue(status, 'Accepted') &&
    status?.mode === 'Live' &&
    status.source?.owner?.kind === 'ReplicaSet' &&
    status.destination?.podUID === undefined &&
    truth(status, 'Committed') === 'Unknown' &&
    metadata.deletionTimestamp === undefined &&
    metadata.annotations?.[CANCEL_ANNOTATION] === undefined
  )
}

/** @returns the Migrations that wait for a pod of this owner, oldest first */
export function waitingFor(ownerUID: string, migrations: readonly Migration[]): Migration[] {
  const waits = (migration: Migration) => {
    const { source, destination } = migration.status ?? {}
    const open = source?.releasedAt !== undefined && destination?.claim === undefined
    return open && source.owner?.uid === ownerUID && needsReplacement(migration)
  }
  const age = ({ metadata }: Migration) => `${metadata.creationTimestamp} ${metadata.uid}`
  return migrations.filter(waits).sort((a, b) => (age(a) < age(b) ? -1 : 1))
}

/** What the owner makes, turned into the pod that waits for the source's state. */
export function replacementPatch(migration: Migration, source: Pod, { object }: Creation): PatchOperation[] {
  const owner = migration.status?.source?.owner
  if (!owner) throw new Error('a replacement needs status.source.owner')
  const { metadata, spec } = waitingPod(migration, unmarked(source, owner))
  const own = object.metadata
  return [
    // The name is what makes it the only one: of two creations of one Migration the API server takes one.
    { op: 'add', path: '/metadata/name', value: metadata.name },
    // What the owner has given it stays: by its labels the owner knows it.
    { op: 'add', path: '/metadata/labels', value: { ...metadata.labels, ...own.labels } },
    { op: 'add', path: '/metadata/annotations', value: { ...own.annotations, ...metadata.annotations } },
    { op: 'replace', path: '/spec', value: spec },
  ]
}

/** @returns whether no pod of this name may be made by its StatefulSet but by way of the webhook; before the commit the webhook lets it pass */
export const holdsName = ({ status }: Migration): boolean =>
  status?.source?.owner?.kind === 'StatefulSet' &&
  isTrue(status, 'Accepted') &&
  !isFalse(status, 'Committed') &&
  !isTrue(status, 'Restored') &&
  !isFinished(status)

/** @returns whether a Job may make no pod: the one that it would miss is on the move */
const holdsJob = ({ status }: Migration): boolean => isJobs(status) && isTrue(status, 'Accepted') && !isFinished(status)

/** @returns what the API server may not make without asking, each once, in an order that does not change by itself */
export function heldBy(migrations: readonly Migration[]): HeldName[] {
  const uidOf = ({ status }: Migration) => status?.source?.owner?.uid ?? ''
  const names = migrations.filter(holdsName).map((migration) => ({
    owner: uidOf(migration),
    podName: migration.spec.podName,
  }))
  const jobs = new Set(migrations.filter(holdsJob).map(uidOf))
  const keyOf = ({ owner, podName = '' }: HeldName) => `${owner} ${podName}`
  return [...names, ...[...jobs].map((owner) => ({ owner }))].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** @returns the Migration on whose account this Job may make no pod now */
export const jobHolder = (ownerUID: string, migrations: readonly Migration[]) =>
  migrations.find(
    (migration) =>
      holdsJob(migration) &&
      migration.status?.source?.owner?.uid === ownerUID &&
      migration.status.source.releasedAt !== undefined,
  )

/** @returns the Migration that decides what becomes of this creation of a StatefulSet, if there is one */
export const holderOf = (ownerUID: string, podName: string | undefined, migrations: readonly Migration[]) =>
  migrations.find(
    (migration) =>
      holdsName(migration) &&
      isTrue(migration.status, 'Committed') &&
      migration.status?.source?.owner?.uid === ownerUID &&
      migration.spec.podName === podName,
  )

/** @returns whether its state is where the pod is to run, and has not been given up there */
export const isRestorable = ({ status }: Migration): boolean =>
  isTrue(status, 'Delivered') && truth(status, 'Restored') === 'Unknown'

/** The pod that the StatefulSet makes anew, turned into the one that is restored from the checkpoint. */
export function successorPatch(migration: Migration, source: Pod, { object }: Creation): PatchOperation[] {
  const { metadata, spec } = destinationPod(migration, source)
  const own = object.metadata
  return [
    // The revision is the source's: a rollout that goes on meanwhile finds the pod to be of the old one, and replaces it as any other.
    { op: 'add', path: '/metadata/labels', value: { ...own.labels, ...metadata.labels } },
    { op: 'add', path: '/metadata/annotations', value: { ...own.annotations, ...metadata.annotations } },
    { op: 'replace', path: '/spec', value: spec },
  ]
}

/** A dry run comes back with this mark: it has been through the webhook. */
export const probedPatch = ({ uid, object }: Creation): PatchOperation[] => [
  { op: 'add', path: '/metadata/annotations', value: { ...object.metadata.annotations, [PROBED_ANNOTATION]: uid } },
]
