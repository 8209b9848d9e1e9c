import type { Logger } from 'pino'
import { type Backoff, backoffMs } from './backoff.ts'
import { type Change, type IndexFunctions, ObjectCache } from './cache.ts'
import type { KubeClient } from './client.ts'
import { type Clock, sleep, systemClock } from './clock.ts'
import { isExpired } from './error.ts'
import type { KubeObject, Resource } from './resource.ts'
import type { WatchEvent } from './watch.ts'

/** Called synchronously, one change after the other; they should only enqueue keys. */
interface InformerHandler<T> {
  add?(object: T): void
  update?(object: T, previous: T): void
  delete?(object: T): void
}

interface InformerOptions<T extends KubeObject> {
  client: KubeClient
  resource: Resource<T>
  log: Logger
  /** Without it the whole cluster. */
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
  indexes?: IndexFunctions<T>
  /** Cuts an object down before it is kept; managedFields are gone already. Must keep name, namespace, uid and resourceVersion. */
  transform?: (object: T) => T
  /** Objects a page. Default 500. */
  pageSize?: number
  /** The safety net: everything is listed again this often. Default 10 min. */
  relistMs?: number
  /** Silence after which a new watch is opened, as the connection may be dead. Default 120 s. */
  idleMs?: number
  backoff?: Backoff
  clock?: Clock
  random?: () => number
}

/** A copy of the API server's objects that keeps itself current. Cached objects are frozen: they belong to everybody. */
export interface Informer<T extends KubeObject> {
  /** The handler hears of every object: of those that are known already at once, as `add`. */
  addHandler(handler: InformerHandler<T>): void
  start(): void
  /** True once the first whole list is in the cache and the handlers have heard of it. */
  hasSynced(): boolean
  /** Resolves when hasSynced; never, if the API server never answers. */
  synced(): Promise<void>
  get(namespace: string | undefined, name: string): T | undefined
  list(): T[]
  byIndex(index: string, value: string): T[]
  /** Ends the watch; afterwards the cache stands still. */
  close(): Promise<void>
}

const failuresBeforeRelist = 3
// A watch that ends at once without a word is a failure too, or a broken server would be asked in a tight loop.
const shortWatchMs = 1_000

/** Lists and watches until closed, whatever happens in between. */
export function createInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const { log, clock = systemClock, random = Math.random, relistMs = 600_000, pageSize = 500 } = options
  const backoff = options.backoff ?? { baseMs: 500, maxMs: 30_000 }
  const cache = new ObjectCache<T>(options.indexes)
  const handlers: InformerHandler<T>[] = []
  const closing = new AbortController()
  const firstList = Promise.withResolvers<void>()
  const selection = {
    namespace: options.namespace,
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
  }
  let hasSynced = false
  let running: Promise<void> | undefined
  let failures = 0

  const keep = (object: T): T => {
    delete object.metadata.managedFields
    return deepFreeze(options.transform === undefined ? object : options.transform(object))
  }

  const tellOne = (handler: InformerHandler<T>, change: Change<T>) => {
    try {
      if (change.type === 'update') handler.update?.(change.object, change.previous)
      else handler[change.type]?.(change.object)
    } catch (error) {
      log.error({ err: error, object: change.object.metadata.name }, 'an informer handler failed')
    }
  }

  const tell = (change: Change<T>) => {
    for (const handler of handlers) tellOne(handler, change)
  }

  const list = async (): Promise<string> => {
    const objects: T[] = []
    let next: string | undefined
    // Without a resourceVersion the answer is consistent, never from a cache that lags behind.
    do {
      const page = await options.client.list(options.resource, {
        ...selection,
        limit: pageSize,
        continue: next,
        signal: closing.signal,
      })
      objects.push(...page.items.map(keep))
      next = page.continue
      if (next === undefined) {
        cache.replace(objects).forEach(tell)
        return page.resourceVersion
      }
    } while (!closing.signal.aborted)
    throw closing.signal.reason
  }

  const apply = ({ type, object }: WatchEvent<T>) => {
    if (type === 'BOOKMARK') return
    const changes = type === 'DELETED' ? cache.delete(keep(object)) : cache.set(keep(object))
    changes.forEach(tell)
  }

  /** Watches until `until`; returns the resourceVersion to go on from. */
  const watch = async (from: string, until: number): Promise<string> => {
    const ending = new AbortController()
    const cancel = clock.after(Math.max(0, until - clock.now()), () => ending.abort())
    let version = from
    try {
      const events = options.client.watch(options.resource, {
        ...selection,
        resourceVersion: from,
        signal: AbortSignal.any([closing.signal, ending.signal]),
        ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
      })
      for await (const event of events) {
        failures = 0
        const told = event.object.metadata.resourceVersion
        // One watch tells changes in the order of their versions: what is not newer was told before.
        if (told === undefined || !isNewer(told, version)) continue
        apply(event)
        version = told
      }
      return version
    } catch (error) {
      if (ending.signal.aborted) return version
      throw new WatchFailure(version, error)
    } finally {
      cancel()
    }
  }

  const pause = async (error: unknown) => {
    failures++
    const waitMs = backoffMs(backoff, failures, random())
    log.warn({ err: error, resource: options.resource.plural, failures, waitMs }, 'watching failed; trying again')
    await sleep(clock, waitMs, closing.signal)
  }

  const run = async () => {
    let version: string | undefined
    let relistAt = 0
    while (!closing.signal.aborted) {
      const began = clock.now()
      try {
        if (version === undefined || began >= relistAt) {
          version = await list()
          relistAt = clock.now() + relistMs
          hasSynced = true
          firstList.resolve()
        }
        const before: string = version
        version = await watch(before, relistAt)
        const short = version === before && clock.now() - began < shortWatchMs && clock.now() < relistAt
        if (short && !closing.signal.aborted) await pause('the watch ended at once')
        else failures = 0
      } catch (failure) {
        if (closing.signal.aborted) return
        const error = failure instanceof WatchFailure ? failure.cause : failure
        if (failure instanceof WatchFailure) version = failure.version
        // The version is too old, or cannot be watched from for a reason we do not know: list again.
        if (isExpired(error) || failures + 1 >= failuresBeforeRelist) version = undefined
        await pause(error)
      }
    }
  }

  return {
    addHandler(handler) {
      handlers.push(handler)
      for (const object of cache.list()) tellOne(handler, { type: 'add', object })
    },
    start: () => {
      running ??= run()
    },
    hasSynced: () => hasSynced,
    synced: () => firstList.promise,
    get: (namespace, name) => cache.get(namespace === undefined ? name : `${namespace}/${name}`),
    list: () => cache.list(),
    byIndex: (index, value) => cache.byIndex(index, value),
    async close() {
      closing.abort()
      await running
    },
  }
}

class WatchFailure extends Error {
  readonly version: string

  constructor(version: string, cause: unknown) {
    super('watch failed', { cause })
    this.version = version
  }
}

// Versions of one resource compare as integers (KEP-5504; true of every etcd-backed server); anything else counts as newer.
function isNewer(told: string, known: string): boolean {
  if (!/^\d+$/.test(told) || !/^\d+$/.test(known)) return true
  return told.length === known.length ? told > known : told.length > known.length
}

function deepFreeze<V>(value: V): V {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
