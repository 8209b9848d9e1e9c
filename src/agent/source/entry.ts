/** What the source agent writes into its journal. */
import { z } from 'zod'

const archiveSchema = z.object({
  container: z.string(),
  /** Absolute, on the node. */
  path: z.string(),
  bytes: z.int().min(0),
})

export const sourceEntrySchema = z.object({
  uid: z.string(),
  namespace: z.string(),
  name: z.string(),
  pod: z.object({ name: z.string(), uid: z.string() }),
  container: z.object({ name: z.string(), id: z.string() }),
  cgroup: z.object({ version: z.union([z.literal(1), z.literal(2)]), path: z.string(), memoryPath: z.string() }),
  /**
   * `dumping`: from before the announcement; `fenced`: the pod is frozen and the archives are whole;
   * `emptied`: of a pod that is recreated, the processes are dead and the archives are kept; `failed`: the dump came to nothing and is unwound.
   */
  step: z.enum(['dumping', 'fenced', 'emptied', 'failed']),
  /** RFC 3339: logs and archives from before are not of this dump. */
  startedAt: z.string(),
  /** Archives of this container that were there before: all others of that name are ours. */
  foreignArchives: z.array(z.string()),
  archives: z.array(archiveSchema),
  /** RFC 3339: right before the kubelet was asked, an upper bound of when the pod stopped. Set when `fenced`. */
  frozenAt: z.string().optional(),
  /** Why it is `failed`; kept until the status has it. */
  failure: z.object({ reason: z.string(), message: z.string(), criuLog: z.array(z.string()) }).optional(),
})

export type SourceEntry = z.output<typeof sourceEntrySchema>
