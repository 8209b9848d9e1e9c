/**
 * Everything around the controller in mode Live, as facts: what the API server stores, what runs on the two nodes, what the agents
 * remember. What happens to it is in the files beside; each move does at most one atomic thing.
 */
import { phaseOf } from '../../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import { LIVE_LABEL } from '../../../api/names.ts'
import type { Node, Pod, ReplicaSet } from '../../../api/pod.ts'
import { aMigration, aNode, aPod, START } from '../builders.ts'
import type { Bugs } from './bugs.ts'
import { aReplicaSet, owned } from './owner.ts'

export const SOURCE = 'node-1'
export const DESTINATION = 'node-2'

/** What an agent says when asked for a move by name. */
export type Moves = Record<string, () => void>

export interface SourceNode {
  /** `lost` by a reboot; `cold` is a fresh start by kubelet beside a state that was to be kept. */
  process: 'running' | 'frozen' | 'dead' | 'lost' | 'cold'
  /** CRIU has ended well and killed what it dumped; frozen, it dies when it is thawed. */
  doomed: boolean
  dump: 'none' | 'dumping' | 'serving' | 'failed' | 'done'
  keeper: 'none' | 'waiting' | 'open' | 'finished' | 'dead'
  /** On disk. */
  journal: 'preparing' | 'dumping' | 'fenced' | 'failed' | undefined
  /** The agent's memory, from here on: a crash takes it. */
  task: 'dump' | 'deliver' | undefined
  sent: boolean
  /** What it has read before it commits. */
  observed: Migration | undefined
  pagesLostSeen: boolean
}

/** One pod as the destination's kubelet knows it, which may be later than the API server does. */
export interface Arrival {
  uid: string
  wrapper: 'none' | 'waiting' | 'refused' | 'restoring'
  process: 'none' | 'running' | 'dead' | 'cold'
}

/** `/run/podferry/restore/<pod UID>` and the daemon that belongs to it. */
export interface Staging {
  staged: boolean
  gate: 'restore' | 'refuse' | undefined
  refused: boolean
  used: boolean
  outcome: 'restored' | 'failed' | undefined
  lazy: 'none' | 'running' | 'ok' | 'failed'
}

export interface DestinationNode {
  /** `cut` off from everybody, it runs on. */
  node: 'up' | 'cut' | 'off'
  arrivals: Arrival[]
  staging: Map<string, Staging>
  marks: Set<string>
  /** The agent's memory, from here on. */
  view: MigrationStatus | undefined
  proved: boolean
  silent: boolean
}

const label = { [LIVE_LABEL]: 'true' }
const SOURCE_NODE = aNode(SOURCE, {}, label)
const nodeStates = new Map<string, Node[]>()

export class World {
  migration: Migration | undefined = aMigration({ mode: 'Live' })
  sourcePod: Pod | undefined = aPod()
  destinationPod: Pod | undefined
  /** Of the source; undefined where it is a bare pod. */
  replicaSet: ReplicaSet | undefined
  /** Its other pods. */
  ordinary: Pod[] = []
  webhookUp = true
  /** Somebody has changed the number of replicas. */
  scaled = false
  readonly source: SourceNode = {
    process: 'running',
    doomed: false,
    dump: 'none',
    keeper: 'none',
    journal: undefined,
    task: undefined,
    sent: false,
    observed: undefined,
    pagesLostSeen: false,
  }
  readonly destination: DestinationNode = {
    node: 'up',
    arrivals: [],
    staging: new Map(),
    marks: new Set(),
    view: undefined,
    proved: false,
    silent: false,
  }
  /** The link between the nodes. */
  linkCut = false
  /** What the API server says of the destination node, and how often that has changed. */
  ready = true
  changes = 0
  userDeletedPod = false
  personSpoke = false
  /** A node has taken a state with it that nobody else had. */
  stateLost = false
  #now = Date.parse(START)
  #time: string | undefined = START
  readonly bugs: Bugs
  #version = 1

  constructor(bugs: Bugs, owner: 'none' | 'ReplicaSet' = 'none') {
    this.bugs = bugs
    if (owner === 'none') return
    this.replicaSet = aReplicaSet()
    this.sourcePod = owned(aPod())
    this.ordinary = [owned(aPod({}, { name: 'web-sibling', uid: 'uid-0' }))]
  }

  get status(): MigrationStatus | undefined {
    return this.migration?.status
  }

  /** RFC 3339. */
  time(): string {
    this.#time ??= new Date(this.#now).toISOString()
    return this.#time
  }
  get now(): number {
    return this.#now
  }
  pass(ms: number): void {
    this.#now += ms
    this.#time = undefined
  }
  nextVersion = (): string => String(++this.#version)
  isLinked = (): boolean => this.destination.node === 'up' && !this.linkCut

  /** The nodes as the API server shows them. */
  nodes(): Node[] {
    const key = `${this.ready} ${this.changes}`
    const known = nodeStates.get(key)
    if (known) return known
    const status = this.ready ? 'True' : 'Unknown'
    const lastTransitionTime = new Date(Date.parse(START) + this.changes * 1000).toISOString()
    const conditions = [{ type: 'Ready', status, lastTransitionTime }]
    const made = [SOURCE_NODE, aNode(DESTINATION, { status: { conditions } }, label)]
    nodeStates.set(key, made)
    return made
  }

  touch(metadata: Partial<Migration['metadata']>): void {
    const { migration } = this
    if (!migration) return
    const resourceVersion = this.nextVersion()
    this.migration = { ...migration, metadata: { ...migration.metadata, ...metadata, resourceVersion } }
  }

  replace(status: MigrationStatus): void {
    this.touch({})
    if (this.migration) this.migration = { ...this.migration, status: { ...status, phase: phaseOf(status) } }
  }

  /** Somebody's write to a pod: whoever has seen an older version writes in vain. */
  changePod(slot: 'sourcePod' | 'destinationPod' | number, pod: Pod): void {
    const changed = { ...pod, metadata: { ...pod.metadata, resourceVersion: this.nextVersion() } }
    if (typeof slot === 'number') this.ordinary[slot] = changed
    else this[slot] = changed
  }

  /** An agent's write: on the newest version, which it looks at again. */
  update(change: (status: MigrationStatus) => MigrationStatus): void {
    const before = this.migration?.status
    if (!before) return
    const after = change(before)
    if (after !== before) this.replace(after)
  }

  stagingOf(uid: string): Staging {
    const { staging } = this.destination
    const known = staging.get(uid)
    if (known) return known
    const made: Staging = {
      staged: false,
      gate: undefined,
      refused: false,
      used: false,
      outcome: undefined,
      lazy: 'none',
    }
    staging.set(uid, made)
    return made
  }
}
