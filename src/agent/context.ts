/** What every part of an agent is given. Effects come in through here, so that tests run the same code on a scratch folder. */
import type { Logger } from 'pino'
import type { Migration } from '../api/migration.ts'
import type { KubeClient } from '../kube/client.ts'

export interface AgentContext {
  /** The Kubernetes name of the node this agent serves. */
  readonly nodeName: string
  readonly client: KubeClient
  readonly log: Logger
  /** Injected so that tests decide what time it is. */
  readonly now: () => Date
  /** Where the node's root file system is seen by this process: `/host` in the pod, a scratch folder in tests. */
  readonly hostRoot: string
}

/** One side of a migration on this node. `reconcile` looks at the world and does the next thing that is missing. */
export interface MigrationHandler {
  /**
   * @param migration as last seen by the informer; anything decisive is read again before it is written
   * @returns milliseconds after which to look again without being woken, or undefined
   */
  reconcile(migration: Migration): Promise<number | undefined>
  /** The Migration object no longer exists: leave nothing behind. */
  forget(uid: string): Promise<void>
}
