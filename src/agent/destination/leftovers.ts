/** Taking checkpoints away from registry and runtime: of one Migration, and of all that nobody remembers. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../api/pod.ts'
import { type CheckpointName, checkpointImageReference, parseCheckpointRepository } from '../../oci/repository.ts'
import { removeCheckpointRepository } from '../../oci/storage.ts'
import type { DestinationDependencies } from './dependencies.ts'
import { knownCheckpoints, removeImage } from './images.ts'

/** Frees one container's checkpoint in the registry. Idempotent. */
export async function removeFromRegistry(
  { registry, places }: DestinationDependencies,
  name: CheckpointName,
): Promise<void> {
  await removeCheckpointRepository({ ...name, registry, storageRoot: join(places.hostRoot, places.registryRoot) })
}

/** The registry first: what it does not serve cannot come back into the runtime. Idempotent. */
export async function removeEverywhere(deps: DestinationDependencies, names: readonly CheckpointName[]): Promise<void> {
  for (const name of names) {
    await removeFromRegistry(deps, name)
    await removeImage(deps, name)
  }
}

interface Found {
  name: CheckpointName
  place: 'runtime' | 'registry'
}

/** @returns every checkpoint and alias on this node */
export async function findCheckpoints(deps: DestinationDependencies): Promise<Found[]> {
  const { hostRoot, registryRoot } = deps.places
  const [runtime, registry] = await Promise.all([
    knownCheckpoints(deps),
    storedCheckpoints(join(hostRoot, registryRoot)),
  ])
  return [
    ...runtime.map((name): Found => ({ name, place: 'runtime' })),
    ...registry.map((name): Found => ({ name, place: 'registry' })),
  ]
}

/**
 * Pure: what no Migration under way and no pod on this node needs: aliases whose pod is gone, remains of crashes.
 *
 * @param active UIDs of the Migrations that are not finished, read after `found`
 * @param pods all pods of this node, read after `found`
 */
export function leftoversOf(found: readonly Found[], active: ReadonlySet<string>, pods: readonly Pod[]): Found[] {
  const used = new Set(pods.flatMap(({ spec }) => spec.containers.map(({ image }) => image)))
  return found.filter(({ name, place }) => {
    if (active.has(name.migrationUID)) return false
    // Beside a running pod there is only an alias in the runtime; the registry keeps nothing beyond the Migration.
    return place === 'registry' || !used.has(checkpointImageReference(name))
  })
}

/** Removes one leftover where it was found. Idempotent. */
export async function removeLeftover(deps: DestinationDependencies, { name, place }: Found): Promise<void> {
  if (place === 'runtime') await removeImage(deps, name)
  else await removeFromRegistry(deps, name)
}

/** @returns every checkpoint repository in the registry's storage, whole or in part */
async function storedCheckpoints(storageRoot: string): Promise<CheckpointName[]> {
  const root = join(storageRoot, 'docker/registry/v2/repositories')
  const below = async (path: string) =>
    (await readdir(join(root, path), { withFileTypes: true }).catch(() => []))
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${path}/${name}`)
  const namespaces = await below('podferry')
  const migrations = (await Promise.all(namespaces.map(below))).flat()
  const repositories = (await Promise.all(migrations.map(below))).flat()
  return repositories.flatMap((repository) => parseCheckpointRepository(repository) ?? [])
}
