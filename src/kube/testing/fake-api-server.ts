/**
 * A small but real API server on the loopback: HTTP, resourceVersions, 409, 410, watches, finalizers, graceful deletion of pods.
 * It serves any group and kind, without schemas; what it cannot do is answered with 501 or 415, never silently.
 *
 *   await using server = await startFakeApiServer()
 *   const client = createClient({ connection: server.connection(), role: 'test' })
 *   server.seed(pods, pod)              // stored as it is, status included (a POST drops the status)
 *   server.cutWatches()                 // every watch dies now
 *   server.faults.halfLine = true       // … and the next event is cut in its middle
 *   server.faults.duplicates = true     // every event is told twice
 *   server.store.compact()              // watches from before are Expired (410), continue tokens too
 *   server.sendBookmarks()
 *   server.failNext(503, 'ServiceUnavailable', { times: 2, method: 'GET', path: /pods/ })
 *   server.rules.push(({ operation, object, previous }) => undefined | { field, message })   // what a CRD's CEL refuses: 422
 *   server.requests                     // method, path and headers of everything asked so far
 *
 * Patches: json, merge, and apply as a merge that creates (no field ownership); not strategic.
 * A pod with `spec.nodeName` ends when it is deleted with gracePeriodSeconds 0, as its kubelet would; nothing else plays kubelet.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { JsonPatchOperation } from '../client.ts'
import { type Connection, plainConnection } from '../connection.ts'
import type { KubeObject, Resource } from '../resource.ts'
import { type DeleteOptions, ObjectStore, StoreError } from './object-store.ts'
import { jsonPatch, mergePatch } from './patches.ts'
import { matcher } from './selectors.ts'
import { WatchHub } from './watch-hub.ts'

type Rule = (write: {
  operation: 'create' | 'update' | 'updateStatus'
  object: KubeObject
  previous: KubeObject | undefined
}) => { field: string; message: string } | undefined

interface Failure {
  code: number
  reason: string
  times: number
  method: string | undefined
  path: RegExp
  retryAfter: number | undefined
}

/** Where a request goes. */
interface Target {
  collection: string
  apiVersion: string
  namespace: string | undefined
  name: string | undefined
  subresource: string | undefined
  query: URLSearchParams
}

export interface FakeApiServer extends AsyncDisposable {
  readonly url: string
  readonly store: ObjectStore
  readonly faults: WatchHub['faults']
  readonly rules: Rule[]
  readonly requests: { method: string; path: string; headers: http.IncomingHttpHeaders }[]
  connection(): Connection
  /** Stores an object with its status, without the rules. Returns it as stored. */
  seed<T extends KubeObject>(resource: Resource<T>, object: T): T
  /** What is stored of a resource. */
  objects<T extends KubeObject>(resource: Resource<T>): T[]
  cutWatches(): void
  sendBookmarks(): void
  failNext(
    code: number,
    reason: string,
    which?: { times?: number; method?: string; path?: RegExp; retryAfter?: number },
  ): void
  watchCount(): number
}

/** Starts the server on a free port of 127.0.0.1. */
export async function startFakeApiServer(): Promise<FakeApiServer> {
  const store = new ObjectStore()
  const hub = new WatchHub(store)
  const rules: Rule[] = []
  const requests: FakeApiServer['requests'] = []
  const failures: Failure[] = []
  const snapshots = new Map<string, { items: KubeObject[]; version: number }>()

  const handle = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const method = request.method ?? 'GET'
    requests.push({ method, path: request.url ?? '/', headers: request.headers })
    try {
      failIfAsked(failures, method, url.pathname, response)
      const target = parseTarget(url)
      if (method === 'GET' && target.query.get('watch') === 'true') return hub.open(request, response, target)
      answer(response, method === 'POST' ? 201 : 200, await dispatch(method, target, request))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      answer(response, error.code, toStatus(error))
    }
  }

  const dispatch = async (method: string, target: Target, request: http.IncomingMessage): Promise<unknown> => {
    const body = method === 'GET' ? undefined : await json(request).catch(() => undefined)
    const { collection, namespace, name } = target
    if (name === undefined) {
      if (method === 'GET') return listPage(store, snapshots, target)
      if (method === 'POST') return create(target, body as KubeObject)
      throw new StoreError(501, 'NotImplemented', `${method} on a collection`)
    }
    if (method === 'GET') return store.get(collection, namespace, name)
    if (method === 'PUT') return write(target, body as KubeObject)
    if (method === 'PATCH') return patch(target, request.headers['content-type'] ?? '', body)
    if (method === 'DELETE') return store.delete(collection, namespace, name, body as DeleteOptions | undefined)
    throw new StoreError(501, 'NotImplemented', method)
  }

  const create = ({ collection, namespace }: Target, body: KubeObject) => {
    const { status: _dropped, ...object } = body as KubeObject & { status?: unknown }
    const placed = { ...object, metadata: { ...object.metadata, ...(namespace === undefined ? {} : { namespace }) } }
    obey('create', placed, undefined)
    return store.create(collection, placed)
  }

  const write = ({ collection, namespace, name, subresource }: Target, object: KubeObject) => {
    if (object.metadata.name !== name)
      throw new StoreError(400, 'BadRequest', 'the name in the body differs from the path')
    // A certificate request's `approval` is its status too; the real one lets it change the conditions only.
    const operation = subresource === 'status' || subresource === 'approval' ? 'updateStatus' : 'update'
    if (subresource !== undefined && operation === 'update') throw new StoreError(404, 'NotFound', `no ${subresource}`)
    obey(operation, object, store.find(collection, namespace, name))
    return store[operation](collection, object)
  }

  const patch = (target: Target, contentType: string, body: unknown) => {
    const { collection, namespace, name = '' } = target
    const applies = contentType.startsWith('application/apply-patch+yaml')
    const known = store.find(collection, namespace, name)
    if (applies && known === undefined) return create(target, body as KubeObject)
    const previous = known ?? store.get(collection, namespace, name)
    if (applies || contentType.startsWith('application/merge-patch+json')) {
      return write(target, mergePatch(previous, body) as KubeObject)
    }
    if (!contentType.startsWith('application/json-patch+json')) {
      throw new StoreError(415, 'UnsupportedMediaType', `patch type ${contentType}`)
    }
    try {
      return write(target, jsonPatch(previous, body as JsonPatchOperation[]) as KubeObject)
    } catch (error) {
      if (error instanceof StoreError) throw error
      throw new StoreError(422, 'Invalid', `the server rejected our request: ${String(error)}`)
    }
  }

  const obey = (operation: Parameters<Rule>[0]['operation'], object: KubeObject, previous: KubeObject | undefined) => {
    const causes = rules.flatMap((rule) => rule({ operation, object, previous }) ?? [])
    if (causes.length === 0) return
    const why = causes.map(({ field, message }) => `${field}: ${message}`).join(', ')
    throw new StoreError(422, 'Invalid', `${object.kind} "${object.metadata.name}" is invalid: ${why}`, causes)
  }

  const server = http.createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const connections: Connection[] = []

  return {
    url,
    store,
    faults: hub.faults,
    rules,
    requests,
    connection() {
      const connection = plainConnection(url)
      connections.push(connection)
      return connection
    },
    seed<T extends KubeObject>(resource: Resource<T>, object: T) {
      const collection = `${resource.group}/${resource.plural}`
      const created = store.create(collection, object) as T
      return created
    },
    objects: <T extends KubeObject>(resource: Resource<T>) => store.list(`${resource.group}/${resource.plural}`) as T[],
    cutWatches: () => hub.cut(),
    sendBookmarks: () => hub.bookmark(),
    failNext(code, reason, { times = 1, method, path = /./, retryAfter } = {}) {
      failures.push({ code, reason, times, method, path, retryAfter })
    },
    watchCount: () => hub.size,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.close()
      hub.cut()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function parseTarget({ pathname, searchParams }: URL): Target {
  const pattern =
    /^\/(?:api|apis\/(?<group>[^/]+))\/(?<version>[^/]+)(?:\/namespaces\/(?<namespace>[^/]+)(?=\/))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<sub>[^/]+))?$/
  const groups = pattern.exec(pathname)?.groups
  if (groups === undefined) throw new StoreError(404, 'NotFound', `the server could not find ${pathname}`)
  const { group = '', version, namespace, plural, name, sub } = groups
  return {
    collection: `${group}/${plural}`,
    apiVersion: group === '' ? `${version}` : `${group}/${version}`,
    namespace,
    name,
    subresource: sub,
    query: searchParams,
  }
}

function listPage(
  store: ObjectStore,
  snapshots: Map<string, { items: KubeObject[]; version: number }>,
  target: Target,
): unknown {
  const { query, namespace, collection, apiVersion } = target
  const limit = Number(query.get('limit') ?? 0) || Number.POSITIVE_INFINITY
  const [token, offset = '0'] = query.get('continue')?.split(':') ?? []
  const matches = matcher(namespace, query.get('labelSelector') ?? '', query.get('fieldSelector') ?? '')
  const snapshot =
    token === undefined
      ? { items: store.list(collection).filter(matches), version: store.version }
      : snapshots.get(token)
  if (snapshot === undefined) throw new StoreError(410, 'Expired', 'the continue token is unknown')
  store.eventsSince(snapshot.version)
  const end = Number(offset) + limit
  const id = token ?? String(snapshots.size + 1)
  const more = end < snapshot.items.length
  if (more) snapshots.set(id, snapshot)
  return {
    apiVersion,
    kind: `${snapshot.items[0]?.kind ?? ''}List`,
    metadata: { resourceVersion: String(snapshot.version), ...(more ? { continue: `${id}:${end}` } : {}) },
    // The real one leaves apiVersion and kind out of a list's items.
    items: snapshot.items.slice(Number(offset), end).map(({ apiVersion: _a, kind: _k, ...item }) => item),
  }
}

function failIfAsked(failures: Failure[], method: string, path: string, response: http.ServerResponse): void {
  const failure = failures.find(
    (entry) => entry.times > 0 && (entry.method ?? method) === method && entry.path.test(path),
  )
  if (failure === undefined) return
  failure.times--
  if (failure.retryAfter !== undefined) response.setHeader('retry-after', failure.retryAfter)
  throw new StoreError(failure.code, failure.reason, 'asked to fail')
}

function toStatus({ code, reason, message, causes }: StoreError): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, details: { causes } }
}

function answer(response: http.ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
