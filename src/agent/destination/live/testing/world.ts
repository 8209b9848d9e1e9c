/**
 * Around the real handler and receiver: a scratch node, an API server, controller and source agent, small and in memory. The
 * agent's process can be killed before any of its effects on other parts; what it waited for never answers, as after kill -9.
 * Every write is held against the invariants of docs/design.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { isFalse, isTrue, truth, withCondition } from '../../../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../../../api/migration.ts'
import type { KubeClient } from '../../../../kube/client.ts'
import { KubeError } from '../../../../kube/error.ts'
import type { JobState } from '../../../jobs/jobs.ts'
import type { KeeperState } from '../../../pages/keeper-state.ts'
import type { LiveDestinationDependencies } from '../dependencies.ts'
import { createLiveDestination } from '../handler.ts'
import { CONTAINER, POD_UID, ScratchNode } from './node.ts'

const UID = 'aaaaaaaa-0000-4000-8000-000000000000'
const META = { namespace: 'ns', creationTimestamp: '2026-01-01T00:00:00.000Z', resourceVersion: '1' }
const FOLDER = `/run/podferry/restore/${POD_UID}/${CONTAINER}`
const LOOK_MS = 10_000

export class World {
  readonly node: ScratchNode
  migration: Migration
  jobs = new Map<string, JobState>()
  keeper: KeeperState | undefined
  /** Effects until each kill of the agent, in turn. */
  crashes: number[] = []
  /** The informer tells each change late. */
  lag = false
  #looks = 0
  #earlier: Migration
  /** What failed while something else was being waited for. */
  readonly broken: unknown[] = []
  #process = { effectsLeft: Number.POSITIVE_INFINITY, dead: Promise.withResolvers<'killed'>() }
  #agent: ReturnType<typeof createLiveDestination>

  private constructor(node: ScratchNode) {
    this.node = node
    this.migration = {
      apiVersion: 'podferry.dev/v1alpha1',
      kind: 'Migration',
      metadata: { ...META, name: 'm', uid: UID },
      spec: { podName: 'p', mode: 'Live', connections: 'Auto', timeoutSeconds: 600 },
      status: {
        mode: 'Live',
        source: { node: 'source', podUID: 'x' },
        destination: { node: 'destination', podName: 'd', podUID: POD_UID },
        containers: [{ name: CONTAINER, image: 'i', imageID: 'i@sha256:1' }],
      },
    }
    this.#earlier = this.migration
    this.set('Accepted', 'True')
    this.#agent = this.#boot()
  }

  static async make(): Promise<World> {
    const pod = {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { ...META, name: 'd', uid: POD_UID } },
      spec: { nodeName: 'destination', containers: [{ name: CONTAINER, image: 'i' }] },
      status: { phase: 'Pending' },
    }
    return new World(await ScratchNode.make(pod))
  }

  get status(): MigrationStatus {
    return this.migration.status ?? {}
  }

  /** Another part writes a condition. */
  set(type: Parameters<typeof withCondition>[1]['type'], status: 'True' | 'False'): void {
    if (truth(this.status, type) !== 'Unknown') return
    const update = { type, status, reason: 'Test', message: '' }
    this.#store(withCondition(this.status, update, META.creationTimestamp))
  }

  /** The agent looks until it is so. */
  async until(sentence: string, isSo: () => boolean): Promise<void> {
    const end = Date.now() + LOOK_MS
    while (!isSo()) {
      assert.ok(Date.now() < end, `never: ${sentence}\n${JSON.stringify(this.status, null, 1)}`)
      await this.look()
      if (isFalse(this.status, 'Committed') || isFalse(this.status, 'Restored') || isFalse(this.status, 'Delivered')) {
        this.#deletePodLater()
      }
      await delay(3)
    }
    assert.deepEqual(this.broken, [])
  }

  async look(): Promise<void> {
    const seen = structuredClone(this.lag && this.#looks++ % 3 !== 0 ? this.#earlier : this.migration)
    await this.#asProcess((agent) => agent.reconcile(seen))
  }

  /** The controller's deletion comes when it comes; kubelet may start the container again until then. */
  #deletePodLater(): void {
    this.#deletion ??= delay(80)
      .then(() => this.node.deletePod())
      .catch((error) => void this.broken.push(error))
  }
  #deletion: Promise<void> | undefined

  sweep = () => this.#asProcess((agent) => agent.sweep())
  forget = () => this.#asProcess((agent) => agent.forget(UID))

  /** @returns false when the destination agent refuses or was killed: a source agent asks again, or gives up */
  async send(): Promise<boolean> {
    const common = this.#request()
    const images = () => ({ ...common, container: CONTAINER, body: Readable.from([Buffer.from('x')]) })
    return (
      (await this.begin()) &&
      (await this.sendLayer(1)) &&
      (await this.#asProcess((agent) => agent.receiver.images(images())))
    )
  }

  begin(): Promise<boolean> {
    const peer = { peerNode: 'source', peerAddress: '192.0.2.1', containers: [{ name: CONTAINER, pagePort: 1 }] }
    return this.#asProcess((agent) => agent.receiver.begin({ ...this.#request(), ...peer }))
  }

  sendLayer(level: 0 | 1): Promise<boolean> {
    const body = Readable.from([Buffer.from('x')])
    return this.#asProcess((agent) =>
      agent.receiver.files({ ...this.#request(), root: `layer:${CONTAINER}`, level, body }),
    )
  }

  #request() {
    const target = { namespace: 'ns', migrationName: 'm', migrationUID: UID }
    return { target, migration: structuredClone(this.migration), signal: new AbortController().signal }
  }

  /** kill -9 of the agent. */
  restart(): void {
    this.#process.effectsLeft = -1
    this.#process = { effectsLeft: this.crashes.shift() ?? Number.POSITIVE_INFINITY, dead: Promise.withResolvers() }
    this.#agent = this.#boot()
  }

  /** `criu lazy-pages` ends. */
  async endDaemon(exitCode: number): Promise<void> {
    if (this.jobs.get('lazy')?.is !== 'running') return
    await this.#gate?.close()
    this.#gate = undefined
    this.jobs.set('lazy', { is: 'ended', exitCode })
    if (this.keeper && exitCode !== 0) this.keeper = { ...this.keeper, phase: 'failed' }
  }

  /** A keeper tells its twin on the agent's word alone, and CRIU kills the source then. */
  #keeperState(): KeeperState | undefined {
    if (this.keeper && this.exists(`restore/${POD_UID}/${CONTAINER}/delivered`)) {
      assert.ok(isTrue(this.status, 'Delivered'), 'the source was released before all was known to be delivered')
      this.keeper = { ...this.keeper, phase: 'finished' }
    }
    return this.keeper
  }

  /** What the daemon's guard waits at. */
  #gate: FileHandle | undefined

  async close(): Promise<void> {
    await this.#gate?.close()
    await this.node.close()
  }

  exists(path: string): boolean {
    return existsSync(join(this.node.hostRoot, 'run/podferry', path))
  }

  async #asProcess(work: (agent: ReturnType<typeof createLiveDestination>) => Promise<unknown>): Promise<boolean> {
    const { dead } = this.#process
    const done = work(this.#agent).then(
      () => 'done' as const,
      (error) => {
        if (error instanceof assert.AssertionError) this.broken.push(error)
        return 'failed' as const
      },
    )
    const how = await Promise.race([done, dead.promise])
    if (how === 'killed') this.restart()
    return how === 'done'
  }

  #store(status: MigrationStatus): void {
    this.#earlier = this.migration
    const resourceVersion = String(Number(this.migration.metadata.resourceVersion) + 1)
    this.migration = { ...this.migration, metadata: { ...this.migration.metadata, resourceVersion }, status }
  }

  async #judge(before: MigrationStatus, after: MigrationStatus): Promise<void> {
    for (const type of ['Committed', 'Restored', 'Delivered', 'DestinationReady'] as const) {
      assert.ok([truth(after, type), 'Unknown'].includes(truth(before, type)), `${type} is a register`)
    }
    const [restores, starts] = [await this.node.calls('restore'), await this.node.calls('create')]
    if (!isTrue(before, 'Committed')) assert.deepEqual([restores, starts], [[], []], 'something ran before the commit')
    if (!isTrue(before, 'Restored')) assert.deepEqual(starts, [], 'a cold start before the decision')
    assert.ok(restores.length <= 1, 'a state was restored twice')
    if (isTrue(after, 'Restored')) assert.equal(restores.length, 1, 'restored without a restore')
    if (after.destination?.removedAt !== undefined) assert.ok(!this.node.runs, 'removed, but it runs')
  }

  #boot(): ReturnType<typeof createLiveDestination> {
    const process = this.#process
    const effect = async <T>(run: () => T | Promise<T>): Promise<T> => {
      await null
      if (process.effectsLeft-- <= 0) {
        process.effectsLeft = -1
        process.dead.resolve('killed')
        return await new Promise<never>(() => {})
      }
      return await run()
    }
    const { node } = this
    const notFound = () => new KubeError({ status: 404, reason: 'NotFound', message: 'not found' })
    const client = {
      get: (resource: { plural: string }) =>
        effect(() => {
          const found = resource.plural === 'pods' ? node.pod : this.migration
          if (found === undefined) throw notFound()
          return structuredClone(found)
        }),
      list: (resource: { plural: string }) =>
        effect(() => ({
          items: structuredClone(resource.plural === 'pods' ? [node.pod].filter(Boolean) : this.migrations),
        })),
      replaceStatus: (_: unknown, object: Migration) =>
        effect(async () => {
          await this.#judge(this.status, object.status ?? {})
          if (object.metadata.resourceVersion !== this.migration.metadata.resourceVersion) {
            throw new KubeError({ status: 409, reason: 'Conflict', message: 'conflict' })
          }
          this.#store(structuredClone(object.status ?? {}))
          return structuredClone(this.migration)
        }),
    } as unknown as KubeClient
    const ctx = { nodeName: 'destination', client, hostRoot: node.hostRoot, now: () => new Date() }
    return createLiveDestination({ ...ctx, log: pino({ level: 'silent' }) }, this.#dependencies(effect))
  }

  /** Whether the Migration is still in the API server. */
  migrationGone = false
  get migrations(): Migration[] {
    return this.migrationGone ? [] : [this.migration]
  }

  #dependencies(effect: <T>(run: () => T | Promise<T>) => Promise<T>): LiveDestinationDependencies {
    const { node } = this
    const idOf = (path: string) => path.split('/').at(-2) ?? ''
    const upper = (id: string) => `upperdir=/upper/${id}`
    return {
      kubeletRoot: '/var/lib/kubelet',
      runtimeRoot: '/var/lib/containerd',
      cri: {
        sandboxes: () => effect(() => node.sandboxes()),
        containers: () => effect(() => structuredClone(node.containers)),
        image: () => assert.fail('there is one container, whose image kubelet pulls'),
      },
      fence: {
        find: () => effect(() => (node.runs ? { version: 1, path: '/p', memoryPath: '/p' } : undefined)),
        killAll: () => effect(() => node.killProcesses()),
        thawWithin: () => assert.fail('there is one container, which nobody holds'),
      },
      jobs: {
        start: ({ name, gate }) =>
          effect(async () => {
            await this.#gate?.close()
            this.#gate = gate === undefined ? undefined : await open(join(node.hostRoot, gate), 'r+')
            this.jobs.set(name, { is: 'running', pid: 1 })
            await mkdir(join(node.hostRoot, FOLDER, 'work'), { recursive: true })
            await writeFile(join(node.hostRoot, FOLDER, 'work/lazy-pages.socket'), '')
          }),
        // A look changes nothing.
        state: async (_, name) => this.jobs.get(name) ?? { is: 'absent' },
        lives: async (_, name) => this.jobs.get(name)?.is === 'running',
        kill: (_, name) =>
          effect(async () => {
            if (this.jobs.get(name)?.is !== 'running') return
            await this.#gate?.close()
            this.#gate = undefined
            assert.ok(!node.runs, 'the daemon is taken from under a living process: its memory would read as zeros')
            this.jobs.set(name, { is: 'ended', exitCode: 137 })
          }),
      },
      keepers: {
        prepare: () => effect(() => undefined),
        startSource: () => assert.fail('this is the destination'),
        open: () => assert.fail('this is the destination'),
        abort: () => assert.fail('this is the destination'),
        startDestination: () =>
          effect(() => {
            this.keeper ??= { phase: 'waiting', connected: true, sentBytes: 0, receivedBytes: 0, silentMs: 0, port: 7 }
            return { port: this.keeper.port }
          }),
        state: async () => this.#keeperState(),
        end: () =>
          effect(() => {
            this.keeper = undefined
          }),
      },
      files: {
        unpackFiles: ({ folder, body }) => effect(() => this.#unpack(folder, body)),
        unpackImages: ({ folder, body }) => effect(() => this.#unpack(folder, body)),
      },
      mounts: async () =>
        [...node.mounts]
          .map(
            (id) => `overlay ${node.hostRoot}/bundle/${id}/rootfs overlay rw,lowerdir=/,${upper(id)},workdir=/w 0 0\n`,
          )
          .join(''),
      node: {
        exec: (argv) =>
          effect(() => {
            const id = idOf(argv.at(-1) ?? '')
            if (argv[0] === 'umount') node.mounts.delete(id)
            else node.mounts.add(id)
            return { code: 0, stdout: '', stderr: '' }
          }),
      },
      uploads: { abort: () => effect(() => undefined) },
    }
  }

  async #unpack(folder: string, body: Readable): Promise<{ bytes: number }> {
    for (const id of this.node.mounts) assert.ok(!folder.includes(id), 'a mounted overlay is filled behind its back')
    await body.resume().toArray()
    await writeFile(join(folder, 'arrived'), '')
    return { bytes: 1 }
  }
}
