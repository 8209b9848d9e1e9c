/**
 * A source node, an API server and the other parts of podferry, small and in memory, around the real handler of mode Live. An agent
 * "process" can be killed before any of its effects. Time is virtual: it passes only when the world lets it.
 */
import assert from 'node:assert/strict'
import { pino } from 'pino'
import { isFalse, isTrue, truth, withCondition } from '../../../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../../../api/migration.ts'
import type { Pod } from '../../../../api/pod.ts'
import { PodferryError } from '../../../../errors.ts'
import type { KubeClient } from '../../../../kube/client.ts'
import { KubeError } from '../../../../kube/error.ts'
import type { SourceHandler } from '../../handler.ts'
import type { LiveSourceDependencies } from '../dependencies.ts'
import type { LiveEntry } from '../entry.ts'
import { createLiveSource } from '../handler.ts'
import { DELTAS, type Destination, fakeDependencies } from './fakes.ts'
import { Node } from './node.ts'

export const UID = 'aaaaaaaa-0000-4000-8000-000000000000'
const POD_UID = 'bbbbbbbb-0000-4000-8000-000000000000'
const EPOCH = Date.parse('2026-01-01T00:00:00Z')
const LOG = pino({ level: 'silent' })

interface Process {
  alive: boolean
  effectsLeft: number
  sleepers: { at: number; wake: () => void }[]
}

export class World {
  migration: Migration
  removedByForce = false
  pod: Pod | undefined
  readonly node: Node
  journal = new Map<string, LiveEntry>()
  destination: Destination & { pod: 'none' | 'waits' | 'runs' | 'removed'; whole: boolean } = {
    ...{ reachable: true, begun: false, refusal: undefined, staged: new Map(), pod: 'none', whole: false },
  }
  api: 'up' | 'down' = 'up'
  /** The disk with the journal takes nothing more. */
  journalFull = false
  storageSilent = false
  /** An agent that was just started has none yet. */
  certified = true
  /**
   * What becomes of the next writes. `silent`: it happens, but its answer is lost; `late`: it happens some time later, if at all;
   * `overtaken`: another's write comes first.
   */
  fates: ('fine' | 'silent' | 'late' | 'overtaken')[] = []
  #late: Migration | undefined
  /** By which situation a fence has ended. */
  readonly ends: string[] = []
  readonly #sabotage: (deps: LiveSourceDependencies) => LiveSourceDependencies
  #handler: SourceHandler
  #process: Process = newProcess()

  /** @param sabotage replaces effects by ones that err: the properties must notice */
  constructor(containers: readonly string[] = ['c'], sabotage = (deps: LiveSourceDependencies) => deps) {
    this.#sabotage = sabotage
    this.node = new Node(containers)
    const metadata = { namespace: 'ns', creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: '1' }
    this.migration = {
      apiVersion: 'podferry.dev/v1alpha1',
      kind: 'Migration',
      metadata: { ...metadata, name: 'm', uid: UID },
      spec: { podName: 'p', mode: 'Live', connections: 'Auto', timeoutSeconds: 600 },
      status: { mode: 'Live', source: { node: 'source', podUID: POD_UID }, destination: { node: 'destination' } },
    }
    const named = containers.map((name) => ({ name, image: 'i' }))
    const running = { imageID: 'i', restartCount: 0, ready: true, state: { running: {} } }
    this.pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: 'p', uid: POD_UID },
      spec: { nodeName: 'source', containers: named },
      status: {
        phase: 'Running',
        containerStatuses: named.map((c) => ({ ...c, ...running, containerID: `containerd://id-${c.name}` })),
      },
    }
    this.#handler = this.#boot()
  }

  get status(): MigrationStatus {
    return this.migration.status ?? {}
  }

  /** kill -9 of the agent, now or before the effect with this number from now. */
  crash(afterEffects = 0): void {
    this.#process.effectsLeft = afterEffects
    if (afterEffects === 0) this.restart()
  }

  restart(): void {
    this.#process.alive = false
    this.#process = newProcess()
    this.#handler = this.#boot()
    this.#handler.recover()
  }

  /** One look of the agent, perhaps at an old copy of the Migration: an informer may lag. */
  look = (seen: Migration = this.migration): Promise<void> => this.#run(() => this.#handler.reconcile(seen))

  forget = (): Promise<void> => this.#run(() => this.#handler.forget(UID))

  async pass(ms: number): Promise<void> {
    this.node.advance(ms)
    const due = this.#process.sleepers.filter(({ at }) => at <= this.node.clock)
    this.#process.sleepers = this.#process.sleepers.filter(({ at }) => at > this.node.clock)
    for (const { wake } of due) wake()
    await this.#settle()
  }

  /** Another part writes a condition, as the protocol allows it. */
  set(
    type: Parameters<typeof withCondition>[1]['type'],
    value: 'True' | 'False',
    fields: Partial<MigrationStatus> = {},
  ) {
    const before = truth(this.status, type)
    if (before === value) return
    assert.ok(before === 'Unknown' || !['Committed', 'Restored', 'Delivered'].includes(type), `${type} is a register`)
    const update = { type, status: value, reason: 'Test', message: '' }
    const status = withCondition({ ...this.status, ...fields }, update, '2026-01-01T00:00:00Z')
    this.store({ ...this.migration, status })
  }

  patch = (fields: Partial<MigrationStatus>): void =>
    this.store({ ...this.migration, status: { ...this.status, ...fields } })

  store(migration: Migration): void {
    const resourceVersion = String(Number(this.migration.metadata.resourceVersion) + 1)
    this.migration = { ...migration, metadata: { ...migration.metadata, resourceVersion } }
    this.checkCopies()
  }

  checkCopies(): void {
    assert.ok(!(this.node.runs && this.destination.pod === 'runs'), 'both copies run')
  }

  get hasLateWrite(): boolean {
    return this.#late !== undefined
  }

  /** A write whose sender has given up on it arrives after all. */
  landLateWrite(): void {
    const late = this.#late
    this.#late = undefined
    if (late && late.metadata.resourceVersion === this.migration.metadata.resourceVersion) this.#write(late, 'late')
  }

  async #run(call: () => Promise<unknown>): Promise<void> {
    const process = this.#process
    let over = false
    call()
      .catch((error) => {
        if (!(error instanceof Killed) && !(error instanceof PodferryError)) throw error
      })
      .then(
        () => undefined,
        (error) => {
          this.failure ??= error
        },
      )
      .finally(() => {
        over = true
      })
    await this.#settle()
    // What a look waits for is a task that sleeps, and at last a matter of time.
    for (let ms = 10; !over && process.alive; ms *= 1.5) await this.pass(ms)
  }

  /** What an assertion of the world has said inside the handler, which may have caught it. */
  failure: unknown

  async #settle(): Promise<void> {
    // All effects are promises only: one turn of the loop brings them to rest.
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failure !== undefined) throw this.failure
    if (this.#process.effectsLeft > 0) return
    this.restart()
    await this.#settle()
  }

  #boot(): SourceHandler {
    const process = this.#process
    const effect = async <T>(run: () => T | Promise<T>): Promise<T> => {
      await null
      if (!process.alive || process.effectsLeft-- <= 0) {
        process.alive = false
        process.effectsLeft = 0
        throw new Killed()
      }
      try {
        return await run()
      } catch (error) {
        if (error instanceof assert.AssertionError) this.failure ??= error
        throw error
      }
    }
    const sleep = (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        process.sleepers.push({ at: this.node.clock + ms, wake: resolve })
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    const deps = fakeDependencies({
      ...{ node: this.node, destination: this.destination, journal: this.journal, process, effect, sleep },
      ...{ uid: UID, podUID: POD_UID, certified: () => this.certified, journalFull: () => this.journalFull },
      storageSilent: () => this.storageSilent,
      beforeFenceEnds: (by) => this.#judge(by),
      afterwards: () => this.checkCopies(),
    })
    const now = () => new Date(EPOCH + this.node.clock)
    const ctx = { nodeName: 'source', client: this.#client(effect), log: LOG, now, hostRoot: '/nowhere' }
    return createLiveSource(ctx, this.#sabotage(deps))
  }

  #client(effect: <T>(run: () => T) => Promise<T>): KubeClient {
    const reach = () => {
      if (this.api === 'down') throw unanswered()
    }
    return {
      get: (resource: { plural: string }) =>
        effect(() => {
          reach()
          if (resource.plural === 'nodes')
            return { status: { addresses: [{ type: 'InternalIP', address: '192.0.2.2' }] } }
          const found = resource.plural === 'pods' ? this.pod : this.removedByForce ? undefined : this.migration
          if (found === undefined) throw new KubeError({ status: 404, reason: 'NotFound', message: 'not found' })
          return found
        }),
      list: () =>
        effect(() => {
          reach()
          const there = ['waits', 'runs'].includes(this.destination.pod)
          return { items: there ? [{ metadata: { name: 'd' }, status: {} }] : [] }
        }),
      replaceStatus: (_: unknown, object: Migration) =>
        effect(() => {
          reach()
          const how = this.fates.shift()
          if (how === 'overtaken') this.patch({})
          if (how === 'late') {
            this.#late = object
            throw unanswered()
          }
          if (this.removedByForce) throw new KubeError({ status: 404, reason: 'NotFound', message: 'not found' })
          if (object.metadata.resourceVersion !== this.migration.metadata.resourceVersion)
            throw new KubeError({ status: 409, reason: 'Conflict', message: 'conflict' })
          this.#write(object)
          if (how === 'silent') throw unanswered()
          return this.migration
        }),
    } as unknown as KubeClient
  }

  /** What the source agent may write, and when. */
  #write(object: Migration, when: 'now' | 'late' = 'now'): void {
    const { node, destination, status: before } = this
    const after = object.status
    const changed = (type: Parameters<typeof truth>[1]) => truth(after, type) !== truth(before, type)
    assert.ok(!changed('Restored') && !changed('DestinationReady'), 'written by the wrong agent')
    if (changed('Checkpointed')) {
      assert.equal(truth(before, 'Committed'), 'Unknown', 'Checkpointed written after the decision')
      if (isTrue(after, 'Checkpointed')) assert.equal(this.journal.get(UID)?.step, 'fenced')
    }
    if (changed('Committed')) {
      assert.ok(isTrue(after, 'Committed'), 'only the controller aborts')
      assert.equal(truth(before, 'Committed'), 'Unknown', 'decided twice')
      assert.equal(this.migration.metadata.annotations, undefined, 'committed what was to be cancelled')
      assert.ok(isTrue(before, 'Checkpointed') && this.journal.get(UID)?.step === 'fenced', 'committed without a fence')
      assert.ok(node.frozen && node.claimed === UID, 'committed what is not frozen')
      assert.ok(node.synced, 'committed before the storage has what was written')
      // What is under way may find a dump that has died meanwhile; the pod stays frozen all the same.
      assert.ok(when === 'late' || node.serves, 'committed though pages are lost')
      const parts = [...node.boxes.keys(), ...DELTAS.map((root) => `1 ${root}`)]
      const senders = new Set(parts.map((part) => destination.staged.get(part)))
      assert.ok(senders.size === 1 && !senders.has(undefined), 'committed what is not staged')
    }
    if (changed('Delivered')) {
      assert.ok(isFalse(after, 'Delivered') && isTrue(before, 'Committed'), 'only lost pages are reported')
      // A connection that breaks while runc is dead already leaves no trace.
      const dead = !node.stateLost && [...node.boxes.values()].some((box) => box.dead)
      assert.ok(!destination.whole || !dead, 'the last whole copy is thrown away')
    }
    this.store(object)
  }

  /** The rule of docs/design/0002-live-mode.md, said a second time and independently of the plan. */
  #judge(by: 'thaw' | 'kill'): void {
    const { status, pod } = this
    const step = this.journal.get(UID)?.step
    const decided = isTrue(status, 'Committed')
    const never = !decided && !isTrue(status, 'Checkpointed') && (step === 'preparing' || step === 'dumping')
    const aborted = isFalse(status, 'Committed')
    const failed = isFalse(status, 'Restored') || isFalse(status, 'Delivered')
    const removed = decided && failed && status.destination?.removedAt !== undefined
    const leaving = pod === undefined || pod.metadata.deletionTimestamp !== undefined
    const done = isTrue(status, 'Restored') && isTrue(status, 'Delivered') && leaving
    const forced =
      this.removedByForce &&
      (step !== 'fenced' || this.destination.pod === 'none' || this.destination.pod === 'removed')
    const forcedKill = this.removedByForce && leaving
    assert.ok(
      by === 'kill' ? done || forcedKill : never || aborted || removed || forced,
      `${by} in none of the situations`,
    )
    const why = never ? 'unwound' : aborted ? 'aborted' : isFalse(status, 'Restored') ? 'restore failed' : 'pages lost'
    this.ends.push(by === 'kill' ? 'killed' : forced ? 'forgotten' : why)
  }
}

class Killed extends Error {}

const newProcess = (): Process => ({ alive: true, effectsLeft: Number.POSITIVE_INFINITY, sleepers: [] })

const unanswered = () => new KubeError({ status: 0, reason: 'Unreachable', message: 'no answer' })
