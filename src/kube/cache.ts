import type { KubeObject } from './resource.ts'

/** From an object to the values under which an index finds it. */
export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>

/** What one list or event changed. */
export type Change<T> =
  | { type: 'add'; object: T }
  | { type: 'update'; object: T; previous: T }
  | { type: 'delete'; object: T }

/** `namespace/name`, or the name alone of a cluster-scoped object: the key of queues and caches. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** The objects that a list and its watch have told of, with indexes. No I/O. */
export class ObjectCache<T extends KubeObject> {
  readonly #objects = new Map<string, T>()
  readonly #functions: IndexFunctions<T>
  readonly #indexes = new Map<string, Map<string, Set<string>>>()

  constructor(functions: IndexFunctions<T> = {}) {
    this.#functions = functions
    for (const name of Object.keys(functions)) this.#indexes.set(name, new Map())
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  list(): T[] {
    return [...this.#objects.values()]
  }

  /** @throws Error when there is no index of that name: a mistake of the caller */
  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name)
    if (index === undefined) throw new Error(`no index ${name}; declare it in the informer's indexes`)
    return [...(index.get(value) ?? [])].flatMap((key) => this.#objects.get(key) ?? [])
  }

  /** Puts a whole list in place of what was known. */
  replace(objects: readonly T[]): Change<T>[] {
    const listed = new Set(objects.map(keyOf))
    const gone = this.list().filter((object) => !listed.has(keyOf(object)))
    return [...gone.flatMap((object) => this.delete(object)), ...objects.flatMap((object) => this.set(object))]
  }

  /** Adds or updates; nothing when this very version is known already. */
  set(object: T): Change<T>[] {
    const key = keyOf(object)
    const previous = this.#objects.get(key)
    const { uid, resourceVersion } = object.metadata
    const same = previous?.metadata.uid === uid && previous?.metadata.resourceVersion === resourceVersion
    if (previous !== undefined && same) return []
    this.#unindex(key, previous)
    this.#objects.set(key, object)
    this.#index(key, object)
    if (previous === undefined) return [{ type: 'add', object }]
    // Deleted and made anew between two looks: whoever acts on the old one's end must hear of it.
    if (previous.metadata.uid !== uid)
      return [
        { type: 'delete', object: previous },
        { type: 'add', object },
      ]
    return [{ type: 'update', object, previous }]
  }

  /** Removes; nothing when it is unknown. The change carries the object as given: its last state. */
  delete(object: T): Change<T>[] {
    const key = keyOf(object)
    const previous = this.#objects.get(key)
    if (previous === undefined) return []
    this.#unindex(key, previous)
    this.#objects.delete(key)
    return [{ type: 'delete', object }]
  }

  #index(key: string, object: T): void {
    for (const [name, values] of this.#valuesOf(object)) {
      const index = this.#indexes.get(name)
      for (const value of values) {
        const keys = index?.get(value) ?? new Set()
        index?.set(value, keys.add(key))
      }
    }
  }

  #unindex(key: string, object: T | undefined): void {
    if (object === undefined) return
    for (const [name, values] of this.#valuesOf(object)) {
      const index = this.#indexes.get(name)
      for (const value of values) {
        const keys = index?.get(value)
        keys?.delete(key)
        if (keys?.size === 0) index?.delete(value)
      }
    }
  }

  #valuesOf(object: T): [string, readonly string[]][] {
    return Object.entries(this.#functions).map(([name, valuesOf]) => [name, valuesOf(object)])
  }
}
