import { PodferryError } from '../errors.ts'

/** The part of `metadata` that podferry reads; every other field of the wire object is kept as it came. */
export interface ObjectMeta {
  name: string
  generateName?: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  /** RFC 3339, as on the wire: never a Date. */
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  managedFields?: unknown[]
}

interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

/** Any Kubernetes object as raw JSON. Callers extend it with the fields they read. */
export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
}

/** An object before the API server has named it: `generateName` may stand in for `name`. */
export type Unsaved<T extends KubeObject> = Omit<T, 'metadata'> & { metadata: Partial<ObjectMeta> }

/** Where a kind lives in the API. `T` is the type its objects have; it exists for the compiler only. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly namespaced: boolean
  /** Never set: carries the object type, so that `client.get(PODS, …)` is a pod without a type argument. */
  readonly object?: T
}

/** The path of a collection; without a namespace, of the whole cluster. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${segment(namespace, 'namespace')}` : ''
  return `${root}${scope}/${segment(resource.plural, 'plural')}`
}

/**
 * The path of one object or of one of its subresources.
 * @throws PodferryError `InvalidName` when a part is missing or is no path segment
 */
export function objectPath(
  resource: Resource,
  namespace: string | undefined,
  name: string,
  subresource?: string,
): string {
  if (resource.namespaced && namespace === undefined) throw invalidName('namespace', 'undefined')
  const tail = subresource === undefined ? '' : `/${segment(subresource, 'subresource')}`
  return `${collectionPath(resource, namespace)}/${segment(name, 'name')}${tail}`
}

// An empty name would turn the deletion of one object into the deletion of the collection.
function segment(value: string, field: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9.:_-]*$/.test(value)) throw invalidName(field, value)
  return encodeURIComponent(value)
}

function invalidName(field: string, value: string): PodferryError {
  return new PodferryError({
    reason: 'InvalidName',
    message: `${field} ${JSON.stringify(value)} is no Kubernetes name; give one of letters, digits, '-' and '.'`,
    retry: 'afterChange',
  })
}
