/**
 * Names of checkpoint images. A repository belongs to one container of one Migration, so that it can be removed whole
 * and an event about it says all that its receiver must know.
 */

/** The registry of each node listens here, on the loopback only. */
export const REGISTRY_PORT = 5577
export const REGISTRY_URL = `http://127.0.0.1:${REGISTRY_PORT}`

export const CHECKPOINT_TAG = 'checkpoint'

export interface CheckpointName {
  namespace: string
  migrationUID: string
  container: string
}

/** RFC 1123 label, as namespaces and containers are named; it is also a valid path component of a repository. */
const LABEL = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?'
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const REPOSITORY = new RegExp(`^podferry/(${LABEL})/(${UUID})/(${LABEL})$`)

/**
 * @returns `podferry/<namespace>/<migration UID>/<container>`
 * @throws RangeError when a part is no valid name: what comes out may become a path
 */
export function checkpointRepository({ namespace, migrationUID, container }: CheckpointName): string {
  const repository = `podferry/${namespace}/${migrationUID}/${container}`
  if (!REPOSITORY.test(repository)) throw new RangeError(`${JSON.stringify(repository)} is no checkpoint repository`)
  return repository
}

/** @returns the parts of a checkpoint repository, or undefined for any other name */
export function parseCheckpointRepository(repository: string): CheckpointName | undefined {
  const [, namespace, migrationUID, container] = REPOSITORY.exec(repository) ?? []
  return namespace && migrationUID && container ? { namespace, migrationUID, container } : undefined
}

/** @returns the reference under which the node's own runtime pulls the image; `localhost` makes it use plain HTTP */
export const checkpointImageReference = (name: CheckpointName): string =>
  `localhost:${REGISTRY_PORT}/${checkpointRepository(name)}:${CHECKPOINT_TAG}`
