import packageJson from '../../package.json' with { type: 'json' }
import { type Clock, systemClock } from './clock.ts'
import type { Connection } from './connection.ts'
import { KubeError } from './error.ts'
import { collectionPath, type KubeObject, objectPath, type Resource, type Unsaved } from './resource.ts'
import { createTransport, type KubeRequest } from './transport.ts'
import { type WatchEvent, watchStream } from './watch.ts'

interface CallOptions {
  signal?: AbortSignal | undefined
  /** Default 30 s. */
  timeoutMs?: number | undefined
}

interface Selection {
  /** Without it the whole cluster. */
  namespace?: string | undefined
  labelSelector?: string | undefined
  fieldSelector?: string | undefined
}

interface ListOptions extends Selection, CallOptions {
  /** Objects a page; the answer's `continue` asks for the next. */
  limit?: number | undefined
  continue?: string | undefined
  resourceVersion?: string | undefined
}

/** One page of a list. Its items carry `apiVersion` and `kind`, which the API server leaves out. */
interface KubeList<T extends KubeObject> {
  items: T[]
  resourceVersion: string
  continue?: string
}

interface WatchOptions extends Selection {
  resourceVersion: string
  signal?: AbortSignal | undefined
  /** Asks the server to end the watch after this time. */
  timeoutSeconds?: number
  /** Silence after which the watch ends, as the connection may be dead. Default 120 s. */
  idleMs?: number
}

interface WriteOptions extends CallOptions {
  /** Default `podferry-<role>`. */
  fieldManager?: string
}

/** One operation of RFC 6902. */
export type JsonPatchOperation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: unknown }
  | { op: 'remove'; path: string }

/** `apply` is server-side apply; `force` takes fields over from other managers. */
type Patch =
  | { type: 'json'; operations: readonly JsonPatchOperation[] }
  | { type: 'merge' | 'strategic'; body: object }
  | { type: 'apply'; body: object; force?: boolean }

interface DeleteOptions extends CallOptions {
  propagation?: 'Background' | 'Foreground' | 'Orphan'
  gracePeriodSeconds?: number
  /** Delete only this very object, in this very version; otherwise a conflict. */
  preconditions?: { uid?: string; resourceVersion?: string }
}

/**
 * The Kubernetes API with raw JSON end to end: fields unknown to us are kept on read and on write.
 * Every method throws KubeError; see its helpers isNotFound, isConflict, isAlreadyExists, isExpired.
 * `namespace` is undefined for cluster-scoped resources.
 */
export interface KubeClient {
  get<T extends KubeObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
    options?: CallOptions,
  ): Promise<T>
  list<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): Promise<KubeList<T>>
  create<T extends KubeObject>(resource: Resource<T>, object: Unsaved<T>, options?: WriteOptions): Promise<T>
  /** PUT; a conflict unless `object.metadata.resourceVersion` is still the newest. */
  replace<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>
  replaceStatus<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>
  patch<T extends KubeObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T>
  patchStatus<T extends KubeObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T>
  /** Returns when the API server has accepted; the object may live on until its finalizers and grace period are over. */
  delete(resource: Resource, namespace: string | undefined, name: string, options?: DeleteOptions): Promise<void>
  watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>>
  /** Any other path, such as a pod's log; the body as text. */
  request(request: KubeRequest): Promise<string>
  /** The API server's clock, to the second: what it writes into the Date of an answer; undefined when a proxy has taken it out. */
  serverTime(options?: CallOptions): Promise<Date | undefined>
  /** Closes idle connections. */
  close(): void
}

interface ClientOptions {
  connection: Connection
  /** `controller`, `agent`, `event-handler` or `cli`: names the user agent and the field manager. */
  role: string
  clock?: Clock
}

const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  // JSON is YAML; `application/apply-patch+json` does not exist.
  apply: 'application/apply-patch+yaml',
} as const

/** A client that speaks over `connection` in the name of `role`. */
export function createClient({ connection, role, clock = systemClock }: ClientOptions): KubeClient {
  const transport = createTransport({ connection, userAgent: `podferry/${packageJson.version} (${role})`, clock })
  const json = async <R>(request: KubeRequest): Promise<R> => parse(request, await transport.send(request))
  const writeQuery = (options: WriteOptions) => ({ fieldManager: options.fieldManager ?? `podferry-${role}` })

  const put = async <T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions,
    subresource?: string,
  ) => {
    const path = objectPath(resource, object.metadata.namespace, object.metadata.name, subresource)
    return json<T>({ method: 'PUT', path, query: writeQuery(options), body: object, ...call(options) })
  }

  const patch = <T extends KubeObject>(path: string, change: Patch, options: WriteOptions) =>
    json<T>({
      method: 'PATCH',
      path,
      query: { ...writeQuery(options), ...(change.type === 'apply' && change.force ? { force: true } : {}) },
      contentType: patchTypes[change.type],
      body: change.type === 'json' ? change.operations : change.body,
      ...call(options),
    })

  return {
    get: async (resource, namespace, name, options = {}) =>
      json({ method: 'GET', path: objectPath(resource, namespace, name), ...call(options) }),

    async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}) {
      const { namespace, labelSelector, fieldSelector, limit, resourceVersion } = options
      const query = { labelSelector, fieldSelector, limit, resourceVersion, continue: options.continue }
      const path = collectionPath(resource, namespace)
      return toList(await json<ListAnswer<T>>({ method: 'GET', path, query, ...call(options) }))
    },

    create: async (resource, object, options = {}) => {
      const path = collectionPath(resource, object.metadata.namespace)
      return json({ method: 'POST', path, query: writeQuery(options), body: object, ...call(options) })
    },

    replace: (resource, object, options = {}) => put(resource, object, options),
    replaceStatus: (resource, object, options = {}) => put(resource, object, options, 'status'),
    patch: async (resource, namespace, name, change, options = {}) =>
      patch(objectPath(resource, namespace, name), change, options),
    patchStatus: async (resource, namespace, name, change, options = {}) =>
      patch(objectPath(resource, namespace, name, 'status'), change, options),

    async delete(resource, namespace, name, options = {}) {
      const { propagation, gracePeriodSeconds, preconditions } = options
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        gracePeriodSeconds,
        preconditions,
        propagationPolicy: propagation,
      }
      await transport.send({ method: 'DELETE', path: objectPath(resource, namespace, name), body, ...call(options) })
    },

    watch(resource, options) {
      const {
        namespace,
        labelSelector,
        fieldSelector,
        resourceVersion,
        timeoutSeconds,
        signal,
        idleMs = 120_000,
      } = options
      const query = {
        watch: true,
        allowWatchBookmarks: true,
        labelSelector,
        fieldSelector,
        resourceVersion,
        timeoutSeconds,
      }
      const request: KubeRequest = { method: 'GET', path: collectionPath(resource, namespace), query, signal }
      return watchStream({ transport, request, idleMs, clock })
    },

    request: (request) => transport.send(request),

    async serverTime(options = {}) {
      const response = await transport.stream({ method: 'GET', path: '/version', ...call(options) })
      response.resume()
      const ms = Date.parse(response.headers.date ?? '')
      return Number.isNaN(ms) ? undefined : new Date(ms)
    },

    close: () => connection.close(),
  }
}

interface ListAnswer<T> {
  apiVersion: string
  kind: string
  metadata: { resourceVersion: string; continue?: string }
  items: T[] | null
}

function toList<T extends KubeObject>(answer: ListAnswer<T>): KubeList<T> {
  const { apiVersion, kind, metadata } = answer
  const type = { apiVersion, kind: kind.replace(/List$/, '') }
  return {
    items: (answer.items ?? []).map((item) => ({ ...type, ...item })),
    resourceVersion: metadata.resourceVersion,
    ...(metadata.continue ? { continue: metadata.continue } : {}),
  }
}

function call({ signal, timeoutMs }: CallOptions): Pick<KubeRequest, 'signal' | 'timeoutMs'> {
  return { signal, timeoutMs }
}

function parse<R>(request: KubeRequest, body: string): R {
  try {
    return JSON.parse(body)
  } catch (cause) {
    const message = `${request.method} ${request.path}: the answer is no JSON: ${body.slice(0, 100)}`
    throw new KubeError({ status: 0, reason: 'UnexpectedAnswer', message, cause })
  }
}
