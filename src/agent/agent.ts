/** The agent of one node: watches Migrations and its own pods, and gives each Migration to the side or sides that concern it. */
import type { Logger } from 'pino'
import type { Migration } from '../api/migration.ts'
import type { Pod } from '../api/pod.ts'
import { MIGRATIONS, PODS } from '../api/resources.ts'
import { createInformer, type Informer } from '../kube/informer.ts'
import { WorkQueue } from '../kube/queue.ts'
import type { AgentContext, MigrationHandler } from './context.ts'

interface Sides {
  source: MigrationHandler
  destination: MigrationHandler
}

export interface AgentLoop {
  /** Handles the Migration with this UID soon. */
  wake(migrationUID: string): void
  /** True once both informers know everything. */
  isReady(): boolean
  start(): void
  /** Resolves when no handler runs any more. */
  stop(): Promise<void>
}

/** Different Migrations are independent; each waits for the API server, the runtime or a disk most of the time. */
const CONCURRENCY = 4
const BACKOFF = { baseMs: 100, maxMs: 5_000 }

/**
 * @param sides made by a function, as a handler wakes its own Migrations
 * @param unfinished UIDs that the journal knows: their Migrations may be gone without anybody telling
 */
export function createAgentLoop(
  { client, nodeName, log }: AgentContext,
  sides: () => Sides,
  unfinished: () => readonly string[],
): AgentLoop {
  const migrations: Informer<Migration> = createInformer({
    client,
    resource: MIGRATIONS,
    log,
    indexes: { uid: ({ metadata }) => [metadata.uid], pod: podUIDs },
  })
  const pods: Informer<Pod> = createInformer({
    client,
    resource: PODS,
    log,
    fieldSelector: `spec.nodeName=${nodeName}`,
    // Only changes matter here, what decides is read anew; a node's pods whole would be megabytes.
    transform: ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) =>
      ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) as Pod,
  })

  const process = async (uid: string): Promise<number | undefined> => {
    const { source, destination } = sides()
    const migration = migrations.byIndex('uid', uid)[0]
    if (migration === undefined) {
      await Promise.all([source.forget(uid), destination.forget(uid)])
      return undefined
    }
    const again = await Promise.all([
      migration.status?.source?.node === nodeName ? source.reconcile(migration) : undefined,
      migration.status?.destination?.node === nodeName ? destination.reconcile(migration) : undefined,
    ])
    const soonest = Math.min(...again.map((ms) => ms ?? Number.POSITIVE_INFINITY))
    return Number.isFinite(soonest) ? soonest : undefined
  }

  const queue = new WorkQueue({
    process,
    onError: (migration, err, failures, retryMs) => log.warn({ migration, err, failures, retryMs }, 'reconcile failed'),
    concurrency: CONCURRENCY,
    backoff: BACKOFF,
  })
  const queueUp = (uid: string) => queue.add(uid)
  const wake = (migration: Migration) => queue.add(migration.metadata.uid)
  const wakePod = (pod: Pod) => migrations.byIndex('pod', pod.metadata.uid).forEach(wake)
  migrations.addHandler({ add: wake, update: wake, delete: wake })
  pods.addHandler({ add: wakePod, update: wakePod, delete: wakePod })

  return {
    wake: queueUp,
    isReady: () => migrations.hasSynced() && pods.hasSynced(),
    start() {
      migrations.start()
      pods.start()
      // Before the list is known, every Migration would look as if it were gone.
      void migrations.synced().then(() => unfinished().forEach(queueUp))
    },
    async stop() {
      await Promise.all([migrations.close(), pods.close(), queue.drain()])
    },
  }
}

/** A Migration is looked at again when one of its pods changes. */
const podUIDs = ({ status }: Migration): string[] =>
  [status?.source?.podUID, status?.destination?.podUID].filter((uid) => uid !== undefined)

/** Logs what a person must look at: entries set aside mean that a pod may be frozen that nobody will thaw. */
export function reportSetAside(log: Logger, setAside: readonly string[]): void {
  for (const file of setAside) {
    log.error(
      { file },
      'this journal entry cannot be read; look for a frozen pod by its cgroup in it, then delete the file',
    )
  }
}
