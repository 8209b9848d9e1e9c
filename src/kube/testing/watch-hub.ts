import type http from 'node:http'
import type { KubeObject } from '../resource.ts'
import { type ObjectStore, StoreError, type StoreEvent } from './object-store.ts'
import { type Matcher, matcher } from './selectors.ts'

interface WatchTarget {
  collection: string
  apiVersion: string
  namespace: string | undefined
  query: URLSearchParams
}

interface OpenWatch {
  response: http.ServerResponse
  collection: string
  apiVersion: string
  matches: Matcher
  lastLine: string
}

/** The open watches of a fake API server and what goes wrong with them. */
export class WatchHub {
  readonly faults = {
    /** The next event is cut in the middle of its line, and the connection with it. Resets itself. */
    halfLine: false,
    /** Every event is told twice, and after it the one before it once more. */
    duplicates: false,
    /** Watches stay open and tell nothing. */
    silent: false,
    /** A line of rubbish instead of the next event. Resets itself; the event is lost on that connection. */
    rubbish: false,
  }

  readonly #store: ObjectStore
  readonly #open = new Set<OpenWatch>()

  constructor(store: ObjectStore) {
    this.#store = store
    store.subscribe((event) => {
      for (const watch of this.#open) this.#tell(watch, event)
    })
  }

  get size(): number {
    return this.#open.size
  }

  open(request: http.IncomingMessage, response: http.ServerResponse, target: WatchTarget): void {
    const { query, collection, namespace, apiVersion } = target
    const matches = matcher(namespace, query.get('labelSelector') ?? '', query.get('fieldSelector') ?? '')
    const watch: OpenWatch = { response, collection, apiVersion, matches, lastLine: '' }
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    try {
      const missed = this.#store.eventsSince(Number(query.get('resourceVersion') ?? 0))
      this.#open.add(watch)
      request.once('close', () => this.#open.delete(watch))
      response.once('close', () => this.#open.delete(watch))
      for (const event of missed) this.#tell(watch, event)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      // The real one answers 200 and tells an ERROR event when the watch cache finds out.
      const object = {
        kind: 'Status',
        apiVersion: 'v1',
        code: error.code,
        reason: error.reason,
        message: error.message,
      }
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
    }
    const seconds = Number(query.get('timeoutSeconds') ?? 0)
    if (seconds > 0) setTimeout(() => response.end(), seconds * 1000).unref()
  }

  /** Kills every watch's connection. */
  cut(): void {
    for (const { response } of this.#open) response.destroy()
    this.#open.clear()
  }

  /** Tells every watch that it has heard everything up to now. */
  bookmark(): void {
    const resourceVersion = String(this.#store.version)
    for (const { response, apiVersion } of this.#open) {
      const object = { kind: '', apiVersion, metadata: { resourceVersion, creationTimestamp: null } }
      if (!this.faults.silent) response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`)
    }
  }

  #tell(watch: OpenWatch, event: StoreEvent): void {
    if (event.collection !== watch.collection || this.faults.silent || watch.response.destroyed) return
    const type = typeFor(watch.matches, event)
    if (type === undefined) return
    const line = `${JSON.stringify({ type, object: event.object satisfies KubeObject })}\n`
    if (this.faults.halfLine) {
      this.faults.halfLine = false
      this.#open.delete(watch)
      watch.response.write(line.slice(0, line.length / 2), () => watch.response.destroy())
      return
    }
    if (this.faults.rubbish) {
      this.faults.rubbish = false
      watch.response.write('{"type":"MODIFIED","object":{"metad\n')
      return
    }
    watch.response.write(this.faults.duplicates ? line + line + watch.lastLine : line)
    watch.lastLine = line
  }
}

/** A selector that begins or ceases to match makes an update look like an addition or deletion. */
function typeFor(matches: Matcher, { type, object, previous }: StoreEvent): StoreEvent['type'] | undefined {
  const before = previous !== undefined && matches(previous)
  const after = type !== 'DELETED' && matches(object)
  if (before && after) return 'MODIFIED'
  if (after) return 'ADDED'
  return before ? 'DELETED' : undefined
}
