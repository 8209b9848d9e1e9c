import { randomBytes, randomUUID } from 'node:crypto'
import type { KubeObject } from '../resource.ts'

/** An answer that is not 2xx. */
export class StoreError extends Error {
  readonly code: number
  readonly reason: string
  readonly causes: readonly { field: string; message: string }[]

  constructor(
    code: number,
    reason: string,
    message: string,
    causes: readonly { field: string; message: string }[] = [],
  ) {
    super(message)
    this.code = code
    this.reason = reason
    this.causes = causes
  }
}

/** One committed change, as watches tell it. `previous` is what the object was before, for selectors. */
export interface StoreEvent {
  version: number
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** `group/plural` */
  collection: string
  object: KubeObject
  previous: KubeObject | undefined
}

/** Spec and status as far as the store treats them specially. */
type Stored = KubeObject & { spec?: { nodeName?: string }; status?: unknown }

export interface DeleteOptions {
  gracePeriodSeconds?: number
  preconditions?: { uid?: string; resourceVersion?: string }
}

/** What etcd and the API server's registry do, in memory: versions, conflicts, generations, finalizers, graceful deletion of pods. */
export class ObjectStore {
  readonly #objects = new Map<string, Stored>()
  readonly #listeners = new Set<(event: StoreEvent) => void>()
  #events: StoreEvent[] = []
  #version = 100
  #compacted = 0

  get version(): number {
    return this.#version
  }

  /** Forgets the history: watches and lists from an older version are Expired. */
  compact(): void {
    this.#compacted = this.#version
    this.#events = []
  }

  /** @throws StoreError 410 when the history since `version` is gone */
  eventsSince(version: number): StoreEvent[] {
    if (version < this.#compacted)
      throw new StoreError(410, 'Expired', `too old resource version: ${version} (${this.#compacted})`)
    return this.#events.filter((event) => event.version > version)
  }

  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  list(collection: string): KubeObject[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${collection} `)).map(([, object]) => object)
  }

  find(collection: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(keyOf(collection, namespace, name))
  }

  get(collection: string, namespace: string | undefined, name: string): KubeObject {
    const object = this.find(collection, namespace, name)
    if (object === undefined) throw new StoreError(404, 'NotFound', `${collection} "${name}" not found`)
    return object
  }

  create(collection: string, object: Stored): KubeObject {
    const { generateName } = object.metadata
    const name =
      object.metadata.name || (generateName && `${generateName}${randomBytes(3).toString('hex').slice(0, 5)}`)
    if (!name) throw invalid('metadata.name', 'Required value: name or generateName is required')
    const { namespace } = object.metadata
    if (this.find(collection, namespace, name)) {
      throw new StoreError(409, 'AlreadyExists', `${collection} "${name}" already exists`)
    }
    const metadata = { ...object.metadata, name, uid: randomUUID(), generation: 1, creationTimestamp: now() }
    return this.#commit('ADDED', collection, { ...object, metadata }, undefined)
  }

  /** Everything but the status. Removing the last finalizer of an object in deletion ends it. */
  update(collection: string, object: Stored): KubeObject {
    const previous = this.#checked(collection, object)
    const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation = 1 } = previous.metadata
    const { status: _ignored, ...rest } = object
    const metadata = {
      ...object.metadata,
      uid,
      creationTimestamp,
      deletionTimestamp,
      deletionGracePeriodSeconds,
      generation,
    }
    const changed = changesSpec(previous, object)
    const next = {
      ...rest,
      metadata: prune({ ...metadata, generation: changed ? generation + 1 : generation }),
      ...(previous.status === undefined ? {} : { status: previous.status }),
    } as Stored
    const released =
      deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0 && !next.metadata.finalizers?.length
    if (released) return this.#commit('DELETED', collection, next, previous)
    return this.#commit('MODIFIED', collection, next, previous)
  }

  /** The status and nothing else. */
  updateStatus(collection: string, object: Stored): KubeObject {
    const previous = this.#checked(collection, object)
    return this.#commit('MODIFIED', collection, { ...previous, status: object.status } as Stored, previous)
  }

  delete(collection: string, namespace: string | undefined, name: string, options: DeleteOptions = {}): KubeObject {
    const previous: Stored = this.get(collection, namespace, name)
    const { uid, resourceVersion } = options.preconditions ?? {}
    if (uid !== undefined && uid !== previous.metadata.uid) throw conflict(name, 'the UID in the precondition')
    if (resourceVersion !== undefined && resourceVersion !== previous.metadata.resourceVersion) {
      throw conflict(name, 'the ResourceVersion in the precondition')
    }
    // A pod on a node ends when its kubelet deletes it with grace period 0.
    const onNode = collection === '/pods' && previous.spec?.nodeName !== undefined
    const grace = onNode ? (options.gracePeriodSeconds ?? 30) : 0
    if (grace === 0 && !previous.metadata.finalizers?.length)
      return this.#commit('DELETED', collection, previous, previous)
    const { deletionTimestamp = now(), deletionGracePeriodSeconds = grace } = previous.metadata
    const shortened = Math.min(deletionGracePeriodSeconds, grace)
    if (previous.metadata.deletionTimestamp !== undefined && shortened === deletionGracePeriodSeconds) return previous
    const metadata = { ...previous.metadata, deletionTimestamp, deletionGracePeriodSeconds: shortened }
    return this.#commit('MODIFIED', collection, { ...previous, metadata }, previous)
  }

  #checked(collection: string, object: KubeObject): Stored {
    const { namespace, name, uid, resourceVersion } = object.metadata
    const previous = this.get(collection, namespace, name)
    const stale = resourceVersion !== undefined && resourceVersion !== previous.metadata.resourceVersion
    if (stale || (uid !== undefined && uid !== previous.metadata.uid)) {
      throw conflict(
        name,
        'the object has been modified; please apply your changes to the latest version and try again:',
      )
    }
    return previous
  }

  #commit(type: StoreEvent['type'], collection: string, object: Stored, previous: Stored | undefined): KubeObject {
    // As the API server: an update that changes nothing makes no new version.
    if (type === 'MODIFIED' && previous !== undefined && sameBut(object, previous)) return previous
    const version = ++this.#version
    const stored = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: String(version) } })
    const key = keyOf(collection, stored.metadata.namespace, stored.metadata.name)
    if (type === 'DELETED') this.#objects.delete(key)
    else this.#objects.set(key, stored)
    const event: StoreEvent = { version, type, collection, object: stored, previous }
    this.#events.push(event)
    for (const listener of this.#listeners) listener(event)
    return stored
  }
}

function keyOf(collection: string, namespace: string | undefined, name: string): string {
  return `${collection} ${namespace ?? ''}/${name}`
}

function changesSpec(previous: KubeObject, next: KubeObject): boolean {
  const spec = (object: object) => JSON.stringify({ ...object, metadata: undefined, status: undefined })
  return spec(previous) !== spec(next)
}

function sameBut(left: KubeObject, right: KubeObject): boolean {
  const bare = (object: KubeObject) =>
    sorted({ ...object, metadata: { ...object.metadata, resourceVersion: undefined } })
  return bare(left) === bare(right)
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, inner) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function prune<M extends object>(metadata: M): M {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined)) as M
}

function conflict(name: string, what: string): StoreError {
  return new StoreError(409, 'Conflict', `Operation cannot be fulfilled on "${name}": ${what}`)
}

function invalid(field: string, message: string): StoreError {
  return new StoreError(422, 'Invalid', `${field}: ${message}`, [{ field, message }])
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}
