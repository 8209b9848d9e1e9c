import { isDeepStrictEqual } from 'node:util'
import type { KubeClient } from './client.ts'
import { isConflict } from './error.ts'
import type { KubeObject, Resource } from './resource.ts'

interface CommitOptions {
  signal?: AbortSignal | undefined
}

interface UpdateOptions extends CommitOptions {
  /** Reads and writes before a conflict is given up on. Default 5. */
  attempts?: number
}

/**
 * Changes the status of whatever version is newest: for facts that stay true whatever others wrote meanwhile.
 * @param mutate changes the object it is given, a private copy, or returns another; without effects, as a conflict runs it again
 * @returns the object as stored
 * @throws KubeError a conflict when all attempts met one, NotFound, …
 */
export async function updateStatus<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  namespace: string | undefined,
  name: string,
  mutate: (object: T) => T | undefined,
  { signal, attempts = 5 }: UpdateOptions = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const observed = await client.get(resource, namespace, name, { signal })
    try {
      return await commitStatus(client, resource, observed, mutate, { signal })
    } catch (error) {
      if (!isConflict(error) || attempt >= attempts) throw error
    }
  }
}

/**
 * Changes the status of exactly the version that was observed: for decisions that another's write would overturn, such as the commit.
 * Writes nothing when `mutate` changes nothing. When no answer comes (`status` 0), the write may have happened: read before acting.
 * @param observed may come frozen from an informer; it is not changed
 * @returns the object as stored
 * @throws KubeError a conflict (`isConflict`) when the object has changed: plan again from a fresh read
 */
export async function commitStatus<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  observed: T,
  mutate: (object: T) => T | undefined,
  { signal }: CommitOptions = {},
): Promise<T> {
  const draft = structuredClone(observed)
  const changed = mutate(draft) ?? draft
  if (isDeepStrictEqual(changed, observed)) return observed
  // Whatever mutate did, the precondition stays the version that was observed.
  const { resourceVersion, uid } = observed.metadata
  const body = { ...changed, metadata: { ...changed.metadata, resourceVersion, uid } }
  return await client.replaceStatus(resource, body as T, { signal })
}
