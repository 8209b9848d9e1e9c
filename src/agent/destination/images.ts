/** Checkpoint images inside the node's runtime: taken away, or replaced by an ordinary image of the same name. */
import { MIGRATION_UID_LABEL } from '../../api/names.ts'
import { PodferryError } from '../../errors.ts'
import {
  type CheckpointName,
  checkpointImageReference,
  parseCheckpointRepository,
  REGISTRY_PORT,
} from '../../oci/repository.ts'
import type { ContainerdImages } from '../runtime/containerd-images.ts'
import type { CriClient } from '../runtime/cri.ts'

interface Runtime {
  cri: CriClient
  /** Undefined where the runtime is not containerd. */
  images: ContainerdImages | undefined
}

const PREFIX = `localhost:${REGISTRY_PORT}/`

/** `localhost:5577/podferry/<namespace>/<uid>/<container>`, under which the runtime has the tag and the digest name. */
const repositoryOf = (name: CheckpointName) => checkpointImageReference(name).replace(/:[^:/]+$/, '')

/**
 * Lets the checkpoint's name lead to the base image; the checkpoint itself stays until `leaveAlias`.
 *
 * Kubelet starts a container again from the image that its pod names: without this it would be restored from the old
 * checkpoint, again and again. The name is moved in one step, so there is no moment in which a restart would find nothing.
 *
 * @param imageID of status.containers: what the source ran
 * @throws PodferryError `BaseImageMissing`
 */
export async function pointAlias({ images }: Runtime, name: CheckpointName, imageID: string): Promise<void> {
  // CRI-O's storage offers no such call.
  if (!images) return
  const base = await images.get(imageID)
  if (!base) {
    const message = `the base image ${imageID} of container ${name.container} is not in containerd any more although the container runs from it; pull it on this node`
    throw new PodferryError({ reason: 'BaseImageMissing', message, retry: 'backoff' })
  }
  const reference = checkpointImageReference(name)
  const present = await images.get(reference)
  if (present?.target.digest !== base.target.digest) await images.point(reference, base.target)
}

/**
 * What is left behind after a restore: an ordinary image under the checkpoint's name, and of the checkpoint nothing.
 *
 * @throws PodferryError `BaseImageMissing`
 */
export async function leaveAlias(runtime: Runtime, name: CheckpointName, imageID: string): Promise<void> {
  const { cri, images } = runtime
  // The restored container lives on without its image; a restart of it will not find any (docs/design/0001-image-mode.md).
  if (!images) return await cri.removeImage(checkpointImageReference(name))
  await pointAlias(runtime, name, imageID)
  await removeDigestNames(cri, images, name)
}

/** Removes the checkpoint image, or the alias in its place, and never the base image that an alias leads to. */
export async function removeImage({ cri, images }: Runtime, name: CheckpointName): Promise<void> {
  const reference = checkpointImageReference(name)
  if (!images) return await cri.removeImage(reference)
  await removeID(cri, images, name, reference)
  await removeDigestNames(cri, images, name)
  await images.remove(reference)
}

async function removeDigestNames(cri: CriClient, images: ContainerdImages, name: CheckpointName): Promise<void> {
  for (const digestName of await images.namesUnder(`${repositoryOf(name)}@`)) {
    await removeID(cri, images, name, digestName)
    await images.remove(digestName)
  }
}

/**
 * The CRI names an image by its config's digest too. That name goes first, as the others lead to it after a crash.
 * CRI RemoveImage would take all names at once, those of the base image as well when an alias leads there.
 */
async function removeID(
  cri: CriClient,
  images: ContainerdImages,
  name: CheckpointName,
  reference: string,
): Promise<void> {
  const labels = await cri.imageLabels(reference)
  if (labels[MIGRATION_UID_LABEL] !== name.migrationUID) return
  const id = (await cri.image(reference))?.id
  if (id) await images.remove(id)
}

/** @returns every checkpoint or alias that the runtime knows by name */
export async function knownCheckpoints({ cri, images }: Runtime): Promise<CheckpointName[]> {
  const names = images
    ? await images.namesUnder(`${PREFIX}podferry/`)
    : (await cri.images()).flatMap(({ repoTags, repoDigests }) => [...repoTags, ...repoDigests])
  const repositories = new Set(
    names.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length).replace(/[:@].*$/, '')),
  )
  return [...repositories].flatMap((repository) => parseCheckpointRepository(repository) ?? [])
}
