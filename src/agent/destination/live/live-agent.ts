/** What every step of the Live destination is given, and what one process remembers between two looks. */
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import type { AgentContext } from '../../context.ts'
import type { KeeperState } from '../../pages/keeper-state.ts'
import { referenceOf, writeStatus } from '../../status.ts'
import type { LiveDestinationDependencies } from './dependencies.ts'

/** Nothing is decided by these alone: the next process begins without them. */
export interface Facts {
  podUID: string | undefined
  /** Pods that were made too late to be written down, and were given up. */
  late: Set<string>
  failingSince?: number | undefined
  podLookedAt: number
  keepers: Map<string, KeeperState>
  keepersLookedAt: number
  /** Milliseconds of the process's clock; a keeper that hangs does not answer at all. */
  keepersHeardAt: Map<string, number>
  progressAt: number
  isMarked?: boolean
  isRestored?: boolean
  settlingSince?: number
}

export interface LiveAgent extends AgentContext {
  readonly deps: LiveDestinationDependencies
  readonly known: Map<string, Facts>
}

export const createLiveAgent = (ctx: AgentContext, deps: LiveDestinationDependencies): LiveAgent => ({
  ...ctx,
  deps,
  known: new Map(),
})

export function factsOf({ known }: LiveAgent, migration: Migration): Facts {
  const { uid } = migration.metadata
  const never = Number.NEGATIVE_INFINITY
  const fresh = {
    late: new Set<string>(),
    podLookedAt: never,
    keepers: new Map(),
    keepersHeardAt: new Map(),
    keepersLookedAt: never,
    progressAt: never,
  }
  const facts: Facts = known.get(uid) ?? { podUID: undefined, ...fresh }
  facts.podUID = migration.status?.destination?.podUID ?? facts.podUID
  known.set(uid, facts)
  return facts
}

export function forgetFacts({ known }: LiveAgent, uid: string): void {
  known.delete(uid)
}

/** @param change see writeStatus */
export async function write(
  { client }: LiveAgent,
  migration: Migration,
  change: (status: MigrationStatus) => MigrationStatus,
): Promise<void> {
  await writeStatus(client, referenceOf(migration), change)
}

export const rfc3339 = ({ now }: LiveAgent): string => now().toISOString()

/** For the log. */
export const about = ({ nodeName }: LiveAgent, migration: Migration) => ({
  migration: `${migration.metadata.namespace}/${migration.metadata.name}`,
  pod: migration.status?.destination?.podName ?? migration.spec.podName,
  node: nodeName,
})

export const namesOf = ({ status }: Migration): string[] => (status?.containers ?? []).map(({ name }) => name)

/** The last write of this side. */
export async function finish(
  live: LiveAgent,
  migration: Migration,
  change: (status: MigrationStatus) => MigrationStatus,
  words: string,
): Promise<void> {
  await write(live, migration, change)
  forgetFacts(live, migration.metadata.uid)
  live.log.info(about(live, migration), words)
}
