/** Leftovers of the node, and marks that a reboot has taken. Pure decisions over what was found. */
import { isFinished, isTrue } from '../../../api/conditions.ts'
import type { Migration } from '../../../api/migration.ts'
import { AWAIT_ANNOTATION } from '../../../api/names.ts'
import type { Pod } from '../../../api/pod.ts'

interface ApiView {
  migrations: readonly Migration[]
  /** All pods of this node. */
  pods: readonly Pod[]
}

/** UIDs of the pods that a Migration under way may still want on this node. */
const underWay = ({ migrations }: ApiView): Set<string> =>
  new Set(
    migrations.filter(({ status }) => !isFinished(status)).flatMap(({ status }) => status?.destination?.podUID ?? []),
  )

/**
 * @param staged UIDs of pods with staging folders, found before `view` was read
 * @returns those that no Migration under way wants; `mayRun` when nothing speaks against the pod but the loss of its Migration
 */
export function orphans(staged: readonly string[], view: ApiView): { podUID: string; mayRun: boolean }[] {
  const wanted = underWay(view)
  const present = new Set(view.pods.map(({ metadata }) => metadata.uid))
  // Moves that were given up, by a person's word too: their destination may come back with the node.
  const givenUp = new Set(
    view.migrations
      .filter(({ status }) => isFinished(status) && !isTrue(status, 'Succeeded'))
      .flatMap(({ status }) => status?.destination?.podUID ?? []),
  )
  return staged
    .filter((podUID) => !wanted.has(podUID))
    .map((podUID) => ({ podUID, mayRun: present.has(podUID) && !givenUp.has(podUID) }))
}

/**
 * The pods whose containers may start as ordinary ones although their annotation makes the wrapper wait. The annotation can
 * be changed by whoever may change the pod, so it never speaks against a Migration under way.
 */
export function arrivals(view: ApiView): string[] {
  const wanted = underWay(view)
  const byUID = new Map(view.migrations.map((migration) => [migration.metadata.uid, migration]))
  return view.pods
    .filter(({ metadata: { uid, annotations, deletionTimestamp }, status }) => {
      const migrationUID = annotations?.[AWAIT_ANNOTATION]
      if (migrationUID === undefined || wanted.has(uid) || deletionTimestamp !== undefined) return false
      const migration = byUID.get(migrationUID)
      // A pod that is forgotten while it waits is Pending: it must not start beside its source.
      if (migration === undefined) return status?.phase === 'Running'
      return isTrue(migration.status, 'Succeeded') && migration.status?.destination?.podUID === uid
    })
    .map(({ metadata }) => metadata.uid)
}
