/** From the distribution registry's notification to our events. Pure; what the registry says is checked like any input. */
import { z } from 'zod'
import { MANIFEST_TYPE } from '../oci/media-types.ts'
import { CHECKPOINT_TAG, parseCheckpointRepository } from '../oci/repository.ts'
import { type ImageEvent, imageEventSchema } from './event.ts'

/** The envelope of `application/vnd.docker.distribution.events.v1+json`, as far as we read it. */
const envelopeSchema = z.object({
  events: z.array(
    z.object({
      action: z.string(),
      timestamp: z.string(),
      target: z.object({
        mediaType: z.string().optional(),
        repository: z.string(),
        digest: z.string().optional(),
        tag: z.string().optional(),
      }),
    }),
  ),
})

/**
 * Blobs, pulls, deletions and foreign images are told to us too; only the push of a checkpoint's manifest counts.
 *
 * @param node the node whose registry speaks
 * @throws ZodError when the body is no such envelope
 */
export function eventsOf(body: unknown, node: string): ImageEvent[] {
  return envelopeSchema.parse(body).events.flatMap(({ action, timestamp, target }) => {
    const name = parseCheckpointRepository(target.repository)
    if (action !== 'push' || target.mediaType !== MANIFEST_TYPE || target.tag !== CHECKPOINT_TAG || !name) return []
    const event = imageEventSchema.safeParse({ ...name, digest: target.digest, node, at: timestamp })
    return event.success ? [event.data] : []
  })
}
