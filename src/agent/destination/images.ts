/** Checkpoint images inside the node's runtime: taken away, or replaced by an ordinary image of the same name. */
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
 * Lets the checkpoint's name lead to the base image, then removes the checkpoint.
 *
 * Kubelet starts a container again from the image that its pod names: without this it would be restored from the old
 * checkpoint, again and again. The name is moved in one step, so there is no moment in which a restart would find nothing.
 *
 * @param imageID of status.containers: what the source ran
 * @throws PodferryError `BaseImageMissing`
 */
export async function leaveAlias({ cri, images }: Runtime, name: CheckpointName, imageID: string): Promise<void> {
  // CRI-O's storage offers no such call: the restored container lives, a restart of it cannot find its image.
  if (!images) return await cri.removeImage(checkpointImageReference(name))
  const base = await images.get(imageID)
  if (!base) {
    const message = `the base image ${imageID} of container ${name.container} is not in containerd any more although the container runs from it; pull it on this node`
    throw new PodferryError({ reason: 'BaseImageMissing', message, retry: 'backoff' })
  }
  const reference = checkpointImageReference(name)
  const present = await images.get(reference)
  if (present?.target.digest !== base.target.digest) await images.point(reference, base.target)
  await removeDigestNames(cri, images, name)
}

/** Removes the checkpoint image, or the alias in its place, and never the base image that an alias leads to. */
export async function removeImage({ cri, images }: Runtime, name: CheckpointName): Promise<void> {
  const reference = checkpointImageReference(name)
  if (!images) return await cri.removeImage(reference)
  // A pull that broke off between its names leaves the tag alone.
  const isAlias = (await images.namesUnder(`${repositoryOf(name)}@`)).length === 0
  const id = isAlias ? undefined : (await cri.image(reference))?.id
  if (id && (await isOnlyOurs(cri, id))) await images.remove(id)
  await removeDigestNames(cri, images, name)
  await images.remove(reference)
}

/** The names that the CRI gave the image besides its tag: the config's digest first, as the other leads to it. */
async function removeDigestNames(cri: CriClient, images: ContainerdImages, name: CheckpointName): Promise<void> {
  for (const digestName of await images.namesUnder(`${repositoryOf(name)}@`)) {
    const id = (await cri.image(digestName))?.id
    if (id && (await isOnlyOurs(cri, id))) await images.remove(id)
    await images.remove(digestName)
  }
}

/** Whether an image ID stands for checkpoints only: that of a base image stays whatever happens. */
async function isOnlyOurs(cri: CriClient, id: string): Promise<boolean> {
  const image = await cri.image(id)
  const names = [...(image?.repoTags ?? []), ...(image?.repoDigests ?? [])]
  return names.length > 0 && names.every((name) => name.startsWith(`${PREFIX}podferry/`))
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
