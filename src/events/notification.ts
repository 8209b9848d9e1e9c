/** From the distribution registry's notification to our events. Pure; what the registry says is checked like any input. */
import { z } from 'zod'
import { MANIFEST_TYPE } from '../oci/media-types.ts'
import { CHECKPOINT_TAG, parseCheckpointRepository } from '../oci/repository.ts'
import { type ImageEvent, imageEventSchema } from './event.ts'

/** The envelope of `application/vnd.docker.distribution.events.v1+json`, as far as we read it. */
const envelopeSchema = z.object({ events: z.array(z.unknown()) })

const pushSchema = z.object({
  action: z.literal('push'),
  timestamp: z.string(),
  target: z.object({
    mediaType: z.literal(MANIFEST_TYPE),
    repository: z.string(),
    digest: z.string(),
    tag: z.literal(CHECKPOINT_TAG),
  }),
})

/**
 * Blobs, pulls, deletions and foreign images are told to us too; only the push of a checkpoint's manifest counts. An event that can't
 * be read is none: were it refused, the registry would repeat it for ever and never tell what came after it.
 *
 * @param node the node whose registry speaks
 * @returns undefined when the body is no such envelope
 */
export function eventsOf(body: unknown, node: string): ImageEvent[] | undefined {
  return envelopeSchema.safeParse(body).data?.events.flatMap((told) => {
    const push = pushSchema.safeParse(told).data
    const name = push && parseCheckpointRepository(push.target.repository)
    if (!name) return []
    return imageEventSchema.safeParse({ ...name, digest: push.target.digest, node, at: push.timestamp }).data ?? []
  })
}
