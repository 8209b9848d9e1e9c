/**
 * A model of everything around the controller in mode Image: API server, kubelets, both agents, the registry's way, a user.
 * The controller in it is the real `plan`, run on snapshots that may be old and by two controllers at once.
 *
 * Each actor's move does at most one atomic thing, so any interleaving of moves is a history that could happen.
 */
import { isFalse, isTrue, phaseOf, truth, withCondition } from '../../api/conditions.ts'
import { withDelivery } from '../../api/delivery.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { CANCEL_ANNOTATION } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { plan } from '../plan.ts'
import { type NewPod, pullPodName } from '../pods.ts'
import type { Snapshot } from '../snapshot.ts'
import type { Command } from '../step.ts'
import { aMigration, aPod, aSnapshot, START } from './builders.ts'

type Process = 'none' | 'running' | 'frozen' | 'dead'
type Update = (status: MigrationStatus) => MigrationStatus

export interface Bugs {
  /** The source agent thaws on Restored=False without waiting for removedAt. */
  thawEarly?: boolean
  /** The status is written without looking at the resourceVersion. */
  noPrecondition?: boolean
  /** The source agent thaws without killing first. */
  thawWithoutKill?: boolean
}

export class Model {
  migration: Migration | undefined = aMigration()
  sourcePod: Pod | undefined = aPod()
  destinationPod: Pod | undefined
  pullPod: Pod | undefined
  source: Process = 'running'
  destination: Process = 'none'
  /** The destination was running at some moment: it may have answered somebody. */
  destinationRan = false
  imageThere = false
  userDeletedPod = false
  now = Date.parse(START)
  readonly bugs: Bugs
  #version = 1
  readonly #seen: (Snapshot | undefined)[] = [undefined, undefined]

  constructor(bugs: Bugs = {}) {
    this.bugs = bugs
  }

  /** Every move somebody can make, by name. */
  readonly moves: Record<string, () => void> = {
    look0: () => this.#look(0),
    act0: () => this.#act(0),
    look1: () => this.#look(1),
    act1: () => this.#act(1),
    prepare: () => this.#destinationPrepares(true),
    lackImages: () => this.#destinationPrepares(false),
    dump: () => this.#dump(),
    reportDump: () => this.#reportDump(),
    refuseDump: () => this.#refuseDump(),
    deliver: () => this.#deliver(),
    startDestination: () => this.#startDestination(),
    reportRestored: () => this.#reportRestored(),
    reportRestoreFailed: () => this.#reportRestoreFailed(),
    proveRemoved: () => this.#proveRemoved(),
    cleanDestination: () => this.#cleanDestination(),
    cleanSource: () => this.#cleanSource(),
    kubelet: () => this.#kubelet(),
    wait: () => {
      this.now += 7_000
    },
  }

  /** What may go wrong from outside. */
  readonly disturbances: Record<string, () => void> = {
    cancel: () => this.#cancel(),
    deleteMigration: () => {
      if (this.migration) this.migration = this.#touched({ deletionTimestamp: this.#time() })
    },
    deleteSource: () => this.#userDeletes('sourcePod'),
    deleteDestination: () => this.#userDeletes('destinationPod'),
    longWait: () => {
      this.now += 700_000
    },
  }

  #time = () => new Date(this.now).toISOString()
  get status(): MigrationStatus | undefined {
    return this.migration?.status
  }

  #touched(metadata: Partial<Migration['metadata']>): Migration {
    const { migration } = this
    if (!migration) throw new Error('no Migration')
    return { ...migration, metadata: { ...migration.metadata, ...metadata, resourceVersion: String(++this.#version) } }
  }

  /** An agent's write: read, change, put; in the model nothing comes between. */
  #update(change: Update): void {
    if (!this.migration) return
    const status = change(this.migration.status ?? {})
    this.migration = { ...this.#touched({}), status: { ...status, phase: phaseOf(status) } }
  }

  #set(
    type: Parameters<typeof withCondition>[1]['type'],
    status: 'True' | 'False' | 'Unknown',
    reason = 'Model',
  ): Update {
    return (before) => withCondition(before, { type, status, reason, message: reason }, this.#time())
  }

  #look(controller: 0 | 1): void {
    const { migration, sourcePod, pullPod, destinationPod } = this
    this.#seen[controller] = migration && aSnapshot({ migration, sourcePod, pullPod, destinationPod })
  }

  #act(controller: 0 | 1): void {
    const snapshot = this.#seen[controller]
    this.#seen[controller] = undefined
    if (!snapshot || !this.migration) return
    const { status, commands } = plan(snapshot, new Date(this.now))
    const current = this.migration.metadata.resourceVersion === snapshot.migration.metadata.resourceVersion
    if (status && (current || this.bugs.noPrecondition)) this.migration = { ...this.#touched({}), status }
    for (const command of commands ?? []) this.#command(command, snapshot)
  }

  #command(command: Command, snapshot: Snapshot): void {
    const { migration } = this
    if (!migration) return
    if (command.do === 'removeFinalizer') {
      this.migration = this.#touched({ finalizers: [] })
      if (this.migration.metadata.deletionTimestamp) this.migration = undefined
    } else if (command.do === 'createPod') this.#create(command.pod, snapshot)
    else if (command.do === 'deletePod') {
      for (const slot of ['sourcePod', 'destinationPod', 'pullPod'] as const) {
        if (this[slot]?.metadata.uid === command.uid) this.#markDeleted(slot)
      }
    }
  }

  #create(pod: NewPod, { migration }: Snapshot): void {
    const slot = pod.metadata.name === pullPodName(migration) ? 'pullPod' : 'destinationPod'
    if (this[slot]) return
    const stored = {
      name: pod.metadata.name,
      uid: `uid-${++this.#version}`,
      resourceVersion: '1',
      creationTimestamp: this.#time(),
    }
    this[slot] = { ...pod, metadata: { ...pod.metadata, ...stored }, status: { phase: 'Pending' } }
    if (slot === 'destinationPod') this.destination = 'none'
  }

  #markDeleted(slot: 'sourcePod' | 'destinationPod' | 'pullPod'): void {
    const pod = this[slot]
    if (pod) this[slot] = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: this.#time() } }
  }

  #userDeletes(slot: 'sourcePod' | 'destinationPod'): void {
    if (!this[slot] || this[slot].metadata.deletionTimestamp) return
    this.userDeletedPod = true
    this.#markDeleted(slot)
  }

  #cancel(): void {
    if (this.migration) this.migration = this.#touched({ annotations: { [CANCEL_ANNOTATION]: 'user' } })
  }

  #open = () => isTrue(this.status, 'Accepted') && truth(this.status, 'Committed') === 'Unknown'

  #destinationPrepares(haveImages: boolean): void {
    if (!this.#open() || truth(this.status, 'DestinationReady') !== 'Unknown') return
    this.#update(
      haveImages ? this.#set('DestinationReady', 'True') : this.#set('DestinationReady', 'Unknown', 'ImagesMissing'),
    )
  }

  #dump(): void {
    const due =
      this.#open() && isTrue(this.status, 'DestinationReady') && truth(this.status, 'Checkpointed') === 'Unknown'
    if (due && this.source === 'running' && !this.sourcePod?.metadata.deletionTimestamp) this.source = 'frozen'
  }

  #reportDump(): void {
    if (this.source !== 'frozen' || !this.#open() || truth(this.status, 'Checkpointed') !== 'Unknown') return
    this.#update((status) => ({
      ...this.#set('Checkpointed', 'True')(status),
      timings: { ...status.timings, frozenAt: this.#time() },
    }))
  }

  #refuseDump(): void {
    if (this.source === 'running' && this.#open() && truth(this.status, 'Checkpointed') === 'Unknown') {
      this.#update(this.#set('Checkpointed', 'False', 'CriuFailed'))
    }
  }

  #deliver(): void {
    if (!isTrue(this.status, 'Checkpointed') || !this.#open()) return
    this.imageThere = true
    this.#update((status) =>
      withDelivery(status, { container: 'main', digest: 'sha256:d', via: 'RegistryEvent' }, this.#time()),
    )
  }

  #startDestination(): void {
    if (!this.destinationPod || this.destinationPod.metadata.deletionTimestamp) return
    if (this.destination !== 'none' || !this.imageThere) return
    this.destination = 'running'
    this.destinationRan = true
  }

  #mayJudge = () => isTrue(this.status, 'Committed') && truth(this.status, 'Restored') === 'Unknown'

  #reportRestored(): void {
    if (this.destination === 'running' && this.#mayJudge()) {
      this.#update((status) => ({
        ...this.#set('Restored', 'True')(status),
        timings: { ...status.timings, restoredAt: this.#time() },
      }))
    }
  }

  #reportRestoreFailed(): void {
    if (this.destinationPod && this.destination === 'none' && this.#mayJudge())
      this.#update(this.#set('Restored', 'False', 'RestoreFailed'))
  }

  /** The image goes first: from then on a destination pod that comes late can't start. */
  #proveRemoved(): void {
    if (!isFalse(this.status, 'Restored')) return
    this.imageThere = false
    if (this.destination === 'running' || !this.status?.destination) return
    const { destination } = this.status
    this.#update((status) => ({ ...status, destination: { ...destination, removedAt: this.#time() } }))
  }

  #cleanDestination(): void {
    const { status } = this
    const due = isTrue(status, 'Restored') || isFalse(status, 'Committed') || status?.destination?.removedAt
    if (!due || !status?.destination || status.destination.cleanedAt) return
    this.imageThere = false
    const { destination } = status
    this.#update((before) => ({ ...before, destination: { ...destination, cleanedAt: this.#time() } }))
  }

  #cleanSource(): void {
    const { status } = this
    if (!isTrue(status, 'Accepted') || !status?.source || status.source.cleanedAt) return
    const aborted = isFalse(status, 'Committed')
    const undone = isFalse(status, 'Restored') && (status.destination?.removedAt !== undefined || this.bugs.thawEarly)
    const pod = this.sourcePod?.metadata.uid === status.source.podUID ? this.sourcePod : undefined
    const moved = isTrue(status, 'Restored') && (!pod || pod.metadata.deletionTimestamp !== undefined)
    if (!aborted && !undone && !moved) return
    if (moved) this.source = this.bugs.thawWithoutKill ? 'running' : 'dead'
    else if (this.source === 'frozen') this.source = 'running'
    const { source } = status
    this.#update((before) => ({ ...before, source: { ...source, cleanedAt: this.#time() } }))
  }

  /** Takes down what is being deleted; a frozen process can't be killed by kubelet (cgroup v1). */
  #kubelet(): void {
    this.pullPod = this.pullPod?.metadata.deletionTimestamp ? undefined : this.pullPod
    if (this.destinationPod?.metadata.deletionTimestamp) {
      this.destinationPod = undefined
      this.destination = this.destination === 'running' ? 'dead' : this.destination
    }
    if (this.sourcePod?.metadata.deletionTimestamp && this.source !== 'frozen') {
      this.sourcePod = undefined
      this.source = 'dead'
    }
  }
}
