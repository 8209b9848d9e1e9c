/**
 * A node, a runtime, an API server and the other parts of podferry, small and in memory, around the real source handler.
 * An agent "process" can be killed before any of its effects; what it was waiting for never answers, as after kill -9.
 */
import assert from 'node:assert/strict'
import { pino } from 'pino'
import { isFalse, isTrue, truth, withCondition } from '../../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import type { Pod } from '../../../api/pod.ts'
import { PodferryError } from '../../../errors.ts'
import type { KubeClient } from '../../../kube/client.ts'
import { KubeError } from '../../../kube/error.ts'
import type { FreezerState } from '../../fence/freezer.ts'
import type { PodCgroup } from '../../fence/pod-cgroup.ts'
import type { SourceDependencies } from '../dependencies.ts'
import type { SourceEntry } from '../entry.ts'
import { createSourceHandler, type SourceHandler } from '../handler.ts'

const UID = 'aaaaaaaa-0000-4000-8000-000000000000'
const POD_UID = 'bbbbbbbb-0000-4000-8000-000000000000'
const NOW = '2026-01-01T00:00:00.000Z'
const CGROUP: PodCgroup = { version: 1, path: `/kubepods/pod${POD_UID}`, memoryPath: `/kubepods/pod${POD_UID}` }

/** How the runtime's dump ends, and how far it is. */
interface Dump {
  /** Who asked for it. */
  process: object
  answer: (result: string | Error) => void
  ended: PromiseWithResolvers<void>
}

export class World {
  readonly hostRoot: string
  migration: Migration
  pod: Pod | undefined
  node = { frozen: false, paused: false, freezing: false, killed: false, announced: '', claimed: '', withdrawn: '' }
  journal = new Map<string, SourceEntry>()
  dump: Dump | undefined
  destination: 'none' | 'runs' | 'removed' = 'none'
  /** What the source agent did that only the three situations allow. */
  readonly thaws: string[] = []
  #handler: SourceHandler
  #process = { alive: true, effectsLeft: Number.POSITIVE_INFINITY }

  constructor(hostRoot: string) {
    this.hostRoot = hostRoot
    const meta = { namespace: 'ns', creationTimestamp: NOW, resourceVersion: '1' }
    this.migration = {
      apiVersion: 'podferry.dev/v1alpha1',
      kind: 'Migration',
      metadata: { ...meta, name: 'm', uid: UID },
      spec: { podName: 'p', mode: 'Image', connections: 'Auto', timeoutSeconds: 600 },
      status: {
        source: { node: 'source', podUID: POD_UID },
        destination: { node: 'destination' },
        containers: [{ name: 'c', image: 'i', imageID: 'i@sha256:1' }],
      },
    }
    this.pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...meta, name: 'p', uid: POD_UID },
      spec: { nodeName: 'source', containers: [{ name: 'c', image: 'i' }] },
      status: {
        phase: 'Running',
        containerStatuses: [
          {
            name: 'c',
            image: 'i',
            imageID: 'i',
            containerID: 'containerd://1',
            restartCount: 0,
            ready: true,
            state: { running: {} },
          },
        ],
      },
    }
    this.#handler = this.#boot()
  }

  get status(): MigrationStatus {
    return this.migration.status ?? {}
  }

  get sourceRuns(): boolean {
    return this.pod !== undefined && !this.node.frozen && !this.node.paused && !this.node.killed
  }

  /** kill -9 of the agent, now or before the effect with this number from now. */
  crash(afterEffects = 0): void {
    this.#process.effectsLeft = afterEffects
    if (afterEffects === 0) this.restart()
  }

  restart(): void {
    this.#process.alive = false
    this.#process = { alive: true, effectsLeft: Number.POSITIVE_INFINITY }
    this.#handler = this.#boot()
    this.#handler.recover()
  }

  /** One look of the agent, perhaps at an old copy of the Migration: an informer may lag. */
  async look(seen: Migration = this.migration): Promise<void> {
    const { alive } = this.#process
    await this.#handler.reconcile(structuredClone(seen)).catch((error) => {
      if (!(error instanceof Killed) && !(error instanceof PodferryError)) throw error
    })
    await settle()
    if (alive && this.#process.effectsLeft <= 0) this.restart()
    await settle()
  }

  async forget(): Promise<void> {
    await this.#handler.forget(UID).catch((error) => {
      if (!(error instanceof Killed) && !(error instanceof PodferryError)) throw error
    })
    await settle()
  }

  /** CRIU reaches its post-dump hook, which claims … */
  hookClaims(): void {
    if (this.dump === undefined || this.node.announced === '') return
    Object.assign(this.node, { claimed: this.node.announced, announced: '', freezing: true })
  }

  /** … and then freezes. */
  hookFreezes(): void {
    if (this.node.freezing) Object.assign(this.node, { frozen: true, freezing: false })
  }

  /** The runtime's dump ends, well or badly. */
  async endDump(well: boolean): Promise<void> {
    // CRIU waits for its hook.
    this.hookFreezes()
    // The request of a killed agent is cancelled, and with it the resumption of the container.
    if (this.dump) this.node.paused = this.dump.process !== this.#process
    const dump = this.dump
    this.dump = undefined
    dump?.answer(well ? '/checkpoint.tar' : new PodferryError({ reason: 'CriuFailed', message: 'criu failed' }))
    dump?.ended.resolve()
    await settle()
  }

  /** Another part writes a condition, as the protocol allows it. */
  set(
    type: Parameters<typeof withCondition>[1]['type'],
    value: 'True' | 'False',
    fields: Partial<MigrationStatus> = {},
  ): void {
    const before = truth(this.status, type)
    if (before === value) return
    assert.ok(before === 'Unknown' || !['Committed', 'Restored'].includes(type), `${type} is a register`)
    const update = { type, status: value, reason: 'Test', message: '' }
    this.#store({ ...this.migration, status: withCondition({ ...this.status, ...fields }, update, NOW) })
  }

  patch(status: MigrationStatus): void {
    this.#store({ ...this.migration, status })
  }

  #store(migration: Migration): void {
    const resourceVersion = String(Number(this.migration.metadata.resourceVersion) + 1)
    this.migration = { ...migration, metadata: { ...migration.metadata, resourceVersion } }
    assert.ok(!(this.sourceRuns && this.destination === 'runs'), 'both copies run')
  }

  #boot(): SourceHandler {
    const process = this.#process
    /** Every effect goes through here: a killed process has none. */
    const effect = async <T>(run: () => T | Promise<T>): Promise<T> => {
      await null
      if (!process.alive || process.effectsLeft-- <= 0) {
        process.alive = false
        process.effectsLeft = 0
        throw new Killed()
      }
      return await run()
    }
    const { node } = this
    const client = {
      get: (resource: { plural: string }) =>
        effect(() => {
          if (resource.plural === 'nodes')
            return { status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] } }
          const found = resource.plural === 'pods' ? this.pod : this.migration
          if (found === undefined) throw new KubeError({ status: 404, reason: 'NotFound', message: 'not found' })
          return structuredClone(found)
        }),
      list: () =>
        effect(() => ({ items: this.destination === 'runs' ? [{ metadata: { name: 'd' }, status: {} }] : [] })),
      replaceStatus: (_: unknown, object: Migration) =>
        effect(() => {
          if (object.metadata.resourceVersion !== this.migration.metadata.resourceVersion) {
            throw new KubeError({ status: 409, reason: 'Conflict', message: 'conflict' })
          }
          if (truth(object.status, 'Checkpointed') !== truth(this.status, 'Checkpointed')) {
            assert.equal(truth(this.status, 'Committed'), 'Unknown', 'Checkpointed written after the decision')
          }
          if (isTrue(object.status, 'Checkpointed') && !isTrue(this.status, 'Checkpointed'))
            assert.equal(this.journal.get(UID)?.step, 'fenced')
          this.#store(structuredClone(object))
          return structuredClone(this.migration)
        }),
    } as unknown as KubeClient

    const endFence = (how: 'thaw' | 'kill') => {
      if (node.frozen) this.#judge(how)
      node.frozen = false
      if (how === 'kill') node.killed = true
      assert.ok(!(this.sourceRuns && this.destination === 'runs'), 'both copies run')
    }
    const deps: SourceDependencies = {
      kubeletRoot: '/var/lib/kubelet',
      wake: () => undefined,
      install: () => effect(() => undefined),
      preflight: () => effect(() => undefined),
      recorder: { event: () => undefined, flush: async () => undefined },
      // A killed process hears of nothing: its waiting never ends.
      resumeContainer: () => effect(() => void Object.assign(node, { paused: false })),
      dumpEnded: () =>
        effect(() =>
          this.dump === undefined ? undefined : this.dump.ended.promise.then(() => effect(() => undefined)),
        ),
      send: () => effect(() => ({ manifestDigest: 'sha256:1', size: 1 })),
      journal: {
        setAside: [],
        read: (uid) => this.journal.get(uid),
        list: () => [...this.journal.values()],
        write: (entry) => effect(() => void this.journal.set(entry.uid, structuredClone(entry))),
        remove: (uid) => effect(() => void this.journal.delete(uid)),
      },
      kubelet: {
        checkpoint: () =>
          effect(
            () =>
              new Promise<string>((resolve, reject) => {
                const ended = Promise.withResolvers<void>()
                const answer = (result: string | Error) =>
                  void effect(() => (result instanceof Error ? reject(result) : resolve(result))).catch(() => undefined)
                this.dump = { process, answer, ended }
              }),
          ),
      },
      fence: {
        find: () => effect(() => CGROUP),
        announce: (_, uid) => effect(() => void Object.assign(node, { announced: uid })),
        withdraw: () =>
          effect(() => {
            if (node.announced !== '') [node.withdrawn, node.announced] = [node.announced, '']
            return node.claimed !== '' ? 'claimed' : node.withdrawn !== '' ? 'withdrawn' : 'absent'
          }),
        claim: () => effect(() => void Object.assign(node, { claimed: UID })),
        freeze: () => effect(() => void Object.assign(node, { frozen: true })),
        thawWithin: () => effect(() => undefined),
        isClaimed: () => effect(() => node.claimed !== ''),
        claimant: () => effect(() => (node.claimed === '' ? undefined : node.claimed)),
        clear: () => effect(() => void Object.assign(node, { announced: '', claimed: '', withdrawn: '' })),
        state: () => effect((): FreezerState => (node.frozen ? 'frozen' : 'thawed')),
        isFrozen: () => effect(() => node.frozen),
        thaw: () => effect(() => endFence('thaw')),
        killAll: () => effect(() => endFence('kill')),
        memoryBytes: () => effect(() => 1),
      },
    }
    const log = pino({ level: 'silent' })
    return createSourceHandler(
      { nodeName: 'source', client, log, now: () => new Date(NOW), hostRoot: this.hostRoot },
      deps,
    )
  }

  /** The rule of docs/design/0001-image-mode.md, said a second time and independently of the plan. */
  #judge(how: 'thaw' | 'kill'): void {
    const { status } = this
    const never =
      !isTrue(status, 'Checkpointed') && !isTrue(status, 'Committed') && this.journal.get(UID)?.step === 'dumping'
    const aborted = isFalse(status, 'Committed')
    const removed = isFalse(status, 'Restored') && status.destination?.removedAt !== undefined
    const leaving = this.pod === undefined || this.pod.metadata.deletionTimestamp !== undefined
    const done = isTrue(status, 'Restored') && leaving
    assert.ok(how === 'kill' ? done : never || aborted || removed, `${how} in none of the situations that allow it`)
    this.thaws.push(how === 'kill' ? 'killed' : never ? 'unwound' : aborted ? 'aborted' : 'restore failed')
  }
}

class Killed extends Error {}

/** Lets everything that needs no further event come to rest; the release deletes real files. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve))
}
