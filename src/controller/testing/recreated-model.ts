/**
 * A model of everything around the controller when a pod without an owner is recreated: API server, kubelets, both agents, a user. The
 * controller is the real `plan`, run by two at once on snapshots that may be old; the source agent decides by its real `plan` too.
 *
 * Of one name there is one pod at a time. Each move does at most one atomic thing.
 */
import { plan as sourcePlan } from '../../agent/source/plan.ts'
import { isFalse, isTrue, phaseOf, truth, withCondition } from '../../api/conditions.ts'
import { withDelivery } from '../../api/delivery.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { CANCEL_ANNOTATION, MIGRATION_UID_LABEL } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { plan } from '../plan.ts'
import { type NewPod, pullPodName } from '../pods.ts'
import type { Snapshot } from '../snapshot.ts'
import type { Command } from '../step.ts'
import { aMigration, aPod, aSnapshot, POD_UID, START } from './builders.ts'

const NODES = ['node-1', 'node-2'] as const
type NodeName = (typeof NODES)[number]
const VOLUMES = [{ name: 'home', persistentVolumeClaim: { claimName: 'home' } }]
const CLAIMS = { home: { place: 'elsewhere', accessModes: ['ReadWriteOnce'] } } as const

interface Process {
  node: string
  is: 'running' | 'frozen' | 'dead'
  /** `checkpoint`: it goes on where the source stood; `nothing`: it was started afresh. */
  from: 'first' | 'checkpoint' | 'nothing'
}

export interface Bugs {
  /** The source agent lets the processes run when their pod is deleted. */
  thawWhenLeaving?: boolean
  /** The destination agent says that nothing is left while the image can still be started. */
  imageStays?: boolean
  /** The status is written without looking at the resourceVersion. */
  noPrecondition?: boolean
  /** The source agent throws the archive away at the commit. */
  archiveGoes?: boolean
}

export class RecreatedModel {
  migration: Migration | undefined = aMigration({ mode: 'Image' })
  /** The one pod of the name. */
  pod: Pod | undefined = aPod({ volumes: VOLUMES })
  readonly processes = new Map<string, Process>([[POD_UID, { node: 'node-1', is: 'running', from: 'first' }]])
  readonly images = new Set<string>()
  archive = false
  /** Somebody else has deleted the pod, or taken its name. */
  meddled = false
  readonly bugs: Bugs
  readonly #broken = new Set<NodeName>()
  #entry: 'fenced' | 'emptied' | undefined
  #now = Date.parse(START)
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
    prepare: () => this.#prepare(),
    sourceAgent: () => this.#sourceAgent(),
    kubelet: () => this.#kubelet(),
    judge: () => this.#judge(),
    proveRemoved: () => this.#proveRemoved(),
    cleanDestination: () => this.#cleanDestination(),
    wait: () => {
      this.#now += 7_000
    },
  }

  /** What may go wrong from outside. */
  readonly disturbances: Record<string, () => void> = {
    cancel: () => {
      if (this.migration) this.migration = this.#touched({ annotations: { [CANCEL_ANNOTATION]: 'user' } })
    },
    deletePod: () => {
      if (!this.pod || this.pod.metadata.deletionTimestamp) return
      this.meddled = true
      this.#delete(this.pod)
    },
    takeName: () => {
      if (this.pod) return
      this.meddled = true
      this.#store(aPod({ nodeName: 'node-1' }), 'running')
    },
    breakSource: () => this.#broken.add('node-1'),
    breakDestination: () => this.#broken.add('node-2'),
    longWait: () => {
      this.#now += 700_000
    },
  }

  get status(): MigrationStatus | undefined {
    return this.migration?.status
  }
  /** All that run, of whatever origin, but those of others. */
  get running(): Process[] {
    return [...this.processes.values()].filter(({ is }) => is === 'running')
  }
  get frozen(): boolean {
    return this.processes.get(POD_UID)?.is === 'frozen'
  }

  #time = () => new Date(this.#now).toISOString()

  #touched(metadata: Partial<Migration['metadata']>): Migration {
    const { migration } = this
    if (!migration) throw new Error('no Migration')
    return { ...migration, metadata: { ...migration.metadata, ...metadata, resourceVersion: String(++this.#version) } }
  }

  #update(change: (status: MigrationStatus) => MigrationStatus): void {
    if (!this.migration) return
    const status = change(this.migration.status ?? {})
    this.migration = { ...this.#touched({}), status: { ...status, phase: phaseOf(status) } }
  }

  #set(type: Parameters<typeof withCondition>[1]['type'], status: 'True' | 'False', reason = 'Model'): void {
    this.#update((before) => withCondition(before, { type, status, reason, message: reason }, this.#time()))
  }

  /** As gather.ts reads it. */
  #look(controller: 0 | 1): void {
    const { migration, pod } = this
    const isSuccessor =
      migration?.status?.destination?.podName === migration?.spec.podName &&
      truth(migration?.status, 'Committed') !== 'Unknown' &&
      pod?.metadata.uid !== migration?.status?.source?.podUID
    const [sourcePod, destinationPod] = isSuccessor ? [undefined, pod] : [pod, undefined]
    this.#seen[controller] = migration && aSnapshot({ migration, sourcePod, destinationPod, claims: CLAIMS })
  }

  #act(controller: 0 | 1): void {
    const snapshot = this.#seen[controller]
    this.#seen[controller] = undefined
    if (!snapshot || !this.migration) return
    const { status, commands } = plan(snapshot, new Date(this.#now))
    const current = this.migration.metadata.resourceVersion === snapshot.migration.metadata.resourceVersion
    if (status && (current || this.bugs.noPrecondition)) this.migration = { ...this.#touched({}), status }
    for (const command of commands ?? []) this.#command(command, snapshot)
  }

  #command(command: Command, { migration }: Snapshot): void {
    if (command.do === 'removeFinalizer') this.migration = this.#touched({ finalizers: [] })
    if (command.do === 'createPod' && command.pod.metadata.name !== pullPodName(migration) && !this.pod)
      this.#store(command.pod)
    if (command.do === 'deletePod' && this.pod?.metadata.uid === command.uid) this.#delete(this.pod)
  }

  /** @param is of a pod whose processes are there at once */
  #store(pod: Pod | NewPod, is?: Process['is']): void {
    const uid = `uid-${++this.#version}`
    const stored = { name: pod.metadata.name, uid, resourceVersion: '1', creationTimestamp: this.#time() }
    this.pod = { ...pod, metadata: { ...pod.metadata, ...stored }, status: { phase: 'Pending' } }
    if (is) this.processes.set(uid, { node: pod.spec.nodeName ?? 'node-1', is, from: 'nothing' })
  }

  #delete(pod: Pod): void {
    this.pod = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: this.#time() } }
  }

  #prepare(): void {
    const { status } = this
    if (!isTrue(status, 'Accepted') || truth(status, 'Committed') !== 'Unknown') return
    if (truth(status, 'DestinationReady') === 'Unknown') this.#set('DestinationReady', 'True')
  }

  #sourceAgent(): void {
    const { status, pod, frozen } = this
    if (!status?.source) return
    const isSource = pod?.metadata.uid === status.source.podUID
    const state = !isSource ? 'gone' : pod?.metadata.deletionTimestamp ? 'leaving' : 'present'
    const entry = this.#entry && { step: this.#entry }
    const action = sourcePlan({ status, entry, task: undefined, pod: state, frozen })
    const program = this.processes.get(POD_UID)
    if (action.do === 'checkpoint' && state === 'present' && program?.is === 'running') {
      program.is = 'frozen'
      this.#entry = 'fenced'
      this.archive = true
    }
    if (action.do === 'reportCheckpointed') {
      this.#set('Checkpointed', 'True')
      this.#update((before) => ({ ...before, timings: { ...before.timings, frozenAt: this.#time() } }))
    }
    if (action.do === 'reportLost') this.#set('Checkpointed', 'False')
    if (action.do === 'deliver') this.#deliver()
    if (action.do === 'empty') this.#empty()
    if (action.do === 'reportEmptied')
      this.#update((now) => ({ ...now, source: { ...of(now), emptiedAt: this.#time() } }))
    if (action.do === 'reportNoReturn') this.#set('Delivered', 'False')
    if (action.do === 'release') this.#release(action.by)
  }

  #deliver(): void {
    if (!this.archive) {
      this.#set('Delivered', 'False')
      return
    }
    this.images.add(this.status?.destination?.node ?? '')
    const digest = { container: 'main', digest: 'sha256:d', via: 'RegistryEvent' } as const
    this.#update((before) => withDelivery(before, digest, this.#time()))
  }

  #empty(): void {
    const program = this.processes.get(POD_UID)
    if (program && program.is !== 'dead') program.is = this.bugs.thawWhenLeaving ? 'running' : 'dead'
    this.#entry = 'emptied'
    if (this.bugs.archiveGoes) this.archive = false
  }

  #release(by: 'thaw' | 'kill' | 'keep'): void {
    const program = this.processes.get(POD_UID)
    if (program?.is === 'frozen') program.is = by === 'thaw' ? 'running' : 'dead'
    this.#entry = undefined
    const kept = by === 'keep' && this.archive ? { kept: ['archive'] } : {}
    if (by !== 'keep') this.archive = false
    this.#update((now) => ({ ...now, source: { ...of(now), ...kept, cleanedAt: this.#time() } }))
  }

  /** Of the node where the pod is; a frozen process can't be killed by it. */
  #kubelet(): void {
    const { pod } = this
    if (!pod) return
    const { uid, deletionTimestamp, labels } = pod.metadata
    const program = this.processes.get(uid)
    if (deletionTimestamp) {
      if (program?.is === 'frozen') return
      if (program) program.is = 'dead'
      this.pod = undefined
      return
    }
    if (program) return
    const node = pod.spec.nodeName ?? 'node-2'
    const isRestored = labels?.[MIGRATION_UID_LABEL] !== undefined
    if (isRestored && (!this.images.has(node) || this.#broken.has(node as NodeName))) return
    this.processes.set(uid, { node, is: 'running', from: isRestored ? 'checkpoint' : 'nothing' })
  }

  /** The agent of the node that is to run it. */
  #judge(): void {
    const { status, pod } = this
    const { node, podUID } = status?.destination ?? {}
    if (!isTrue(status, 'Committed') || truth(status, 'Restored') !== 'Unknown' || podUID === undefined) return
    if (this.processes.get(podUID)?.is === 'running') {
      this.#set('Restored', 'True')
      this.#update((now) => ({ ...now, timings: { ...now.timings, restoredAt: this.#time() } }))
    } else if (pod?.metadata.uid === podUID && this.#broken.has(node as NodeName))
      this.#set('Restored', 'False', 'RestoreFailed')
  }

  /** The image goes first: from then on a pod that comes late can't start. */
  #proveRemoved(): void {
    const { status, pod } = this
    if (!isFalse(status, 'Restored') || !status?.destination || status.destination.removedAt) return
    if (!this.bugs.imageStays) this.images.delete(status.destination.node)
    const isThere =
      pod?.metadata.labels?.[MIGRATION_UID_LABEL] !== undefined && pod.spec.nodeName === status.destination.node
    if (isThere) return
    const { destination } = status
    this.#update((now) => ({ ...now, destination: { ...destination, removedAt: this.#time() } }))
  }

  #cleanDestination(): void {
    const { status } = this
    const due = isTrue(status, 'Restored') || isFalse(status, 'Committed') || status?.destination?.removedAt
    if (!due || !status?.destination || status.destination.cleanedAt) return
    if (!this.bugs.imageStays) this.images.delete(status.destination.node)
    const { destination } = status
    this.#update((now) => ({ ...now, destination: { ...destination, cleanedAt: this.#time() } }))
  }
}

function of({ source }: MigrationStatus): NonNullable<MigrationStatus['source']> {
  if (!source) throw new Error('no status.source')
  return source
}
