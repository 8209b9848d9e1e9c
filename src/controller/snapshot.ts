/** Everything a plan may look at: read once, then pure functions decide. */
import type { Migration } from '../api/migration.ts'
import type { Node, Pod } from '../api/pod.ts'
import type { ClusterFacts } from './checks/cluster-checks.ts'
import type { ClaimFacts } from './checks/volume-checks.ts'
import type { FoundOwner } from './owner.ts'

export interface Snapshot {
  migration: Migration
  /** Other Migrations of the same pod that have not finished. */
  rivals: Migration[]
  /** The pod that spec.podName names now; its UID may differ from the one accepted. */
  sourcePod: Pod | undefined
  /** The pod under the destination pod's name. */
  destinationPod: Pod | undefined
  /** The short-lived pod that makes kubelet pull the base images (and lets the scheduler pick a node). */
  pullPod: Pod | undefined
  /** The owner that the source pod belongs to, or belonged to before it was released or removed. */
  owner: FoundOwner | undefined
  /** Whether the webhook can be asked for a replacement, or why not; undefined where nobody needs to know. */
  webhook: 'alive' | { dead: string } | undefined
  nodes: Node[]
  /** Names of nodes whose podferry agent is Ready. */
  agents: ReadonlySet<string>
  /** Names of nodes whose podferry registry is Ready. */
  registries: ReadonlySet<string>
  /** Of the source pod's claims, by name; read for preflight only. */
  claims?: Readonly<Record<string, ClaimFacts>>
  /** Looked at by a person's command only. */
  cluster?: ClusterFacts
}

export const nodeNamed = (snapshot: Snapshot, name: string | undefined): Node | undefined =>
  snapshot.nodes.find((node) => node.metadata.name === name)
