/** What travels over the bus: a checkpoint image has arrived at a node. A hint, never state; it may come twice or not at all. */
import { z } from 'zod'

export const imageEventSchema = z.object({
  namespace: z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
  migrationUID: z.uuid(),
  container: z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
  /** Digest of the manifest. */
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  /** The node whose registry has it. */
  node: z.string().min(1).max(253),
  /** When the registry took it, RFC 3339. */
  at: z.string().max(64),
})

export type ImageEvent = z.output<typeof imageEventSchema>
