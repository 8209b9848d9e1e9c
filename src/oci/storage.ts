/**
 * Removing a checkpoint image from a registry whose storage folder is ours. Deleting through the API only drops links: the blobs,
 * which hold a process's memory, would stay on disk until somebody runs the registry's garbage collection.
 */
import { lstat, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PodferryError } from '../errors.ts'
import { MANIFEST_TYPE, type Manifest } from './media-types.ts'
import type { RegistryClient } from './registry-client.ts'
import { type CheckpointName, checkpointRepository } from './repository.ts'

interface RemoveOptions extends CheckpointName {
  /** The registry's root directory as this process sees it. */
  storageRoot: string
  registry: RegistryClient
}

const REPOSITORIES = 'docker/registry/v2/repositories'
const DIGEST = /^[0-9a-f]{64}$/

/**
 * Frees every byte of one container's checkpoint image: links, blobs, partial uploads. Idempotent; works with the registry down too.
 * Every blob of a checkpoint image is unique to its Migration, so no other image loses anything. An upload that is still under way
 * must have ended: the registry would go on writing.
 *
 * @throws RangeError for a name that is none, PodferryError `RegistryStorage` for a symbolic link in the way
 */
export async function removeCheckpointRepository({ storageRoot, registry, ...name }: RemoveOptions): Promise<void> {
  const repository = checkpointRepository(name)
  const folder = join(storageRoot, REPOSITORIES, repository)
  await refuseSymlinks(storageRoot, join(REPOSITORIES, repository))
  const digests = await digestsOf(storageRoot, folder)
  // The registry is told first, so that it stops serving; if it is down, the files alone decide.
  for (const digest of digests.manifests) await registry.deleteManifest(repository, `sha256:${digest}`).catch(() => {})
  // The links are the only list of the blobs, and the manifest of its layers: whoever is killed in between must find them again.
  for (const digest of [...digests.blobs, ...digests.manifests]) {
    await refuseSymlinks(storageRoot, blobFolder('', digest))
    await rm(blobFolder(storageRoot, digest), { recursive: true, force: true })
  }
  await rm(folder, { recursive: true, force: true })
  // The last container takes the folders of its Migration and of its namespace with it.
  await rmdir(dirname(folder)).catch(() => {})
  await rmdir(dirname(dirname(folder))).catch(() => {})
}

/**
 * Where a layer that was pushed lies, as this process sees it; the registry has held its digest against its bytes.
 *
 * @throws RangeError for what is no digest, PodferryError `RegistryStorage` for a symbolic link in the way
 */
export async function blobFile(storageRoot: string, digest: string): Promise<string> {
  const hex = digest.replace(/^sha256:/, '')
  if (!DIGEST.test(hex)) throw new RangeError(`${JSON.stringify(digest)} is no digest`)
  await refuseSymlinks(storageRoot, join(blobFolder('', hex), 'data'))
  return join(blobFolder(storageRoot, hex), 'data')
}

const blobFolder = (root: string, hex: string) => join(root, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex)

/** What the repository links to, and what its manifests name, in case a link was deleted before its blob. */
async function digestsOf(root: string, folder: string): Promise<{ manifests: string[]; blobs: string[] }> {
  const manifests = await listDigests(join(folder, '_manifests/revisions/sha256'))
  const linked = await listDigests(join(folder, '_layers/sha256'))
  const named = await Promise.all(manifests.map((digest) => blobsOf(join(blobFolder(root, digest), 'data'))))
  return { manifests, blobs: [...new Set([...linked, ...named.flat()])] }
}

async function listDigests(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch(emptyIfMissing)
  return entries.filter((entry) => DIGEST.test(entry))
}

async function blobsOf(path: string): Promise<string[]> {
  try {
    const manifest: Manifest = JSON.parse(await readFile(path, 'utf8'))
    if (manifest.mediaType !== MANIFEST_TYPE) return []
    return [manifest.config, ...manifest.layers]
      .map(({ digest }) => digest.replace('sha256:', ''))
      .filter((hex) => DIGEST.test(hex))
  } catch {
    return []
  }
}

/** Any other failure must not pass for an empty folder: what it lists would stay for ever. */
function emptyIfMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

/** Whoever can write into the storage must not lead a root process out of it. */
async function refuseSymlinks(root: string, path: string): Promise<void> {
  let current = root
  for (const part of path.split('/')) {
    current = join(current, part)
    const found = await lstat(current).catch(() => undefined)
    if (!found) return
    if (!found.isSymbolicLink()) continue
    const message = `${current} is a symbolic link, and the registry's storage has none of its own: remove it by hand`
    throw new PodferryError({ reason: 'RegistryStorage', message, retry: 'afterChange' })
  }
}
