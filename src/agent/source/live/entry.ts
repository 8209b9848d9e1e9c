/** What the source agent writes into its journal of mode Live. */
import { z } from 'zod'

const containerSchema = z.object({
  name: z.string(),
  /** As the runtime knows it, without `containerd://`. */
  id: z.string(),
  /** Of its first process, on the node. */
  pid: z.int().min(1),
  /** Where the keeper of the destination connects. */
  pagePort: z.int().optional(),
  /** Where CRIU serves the pages, on the node's loopback. */
  dumpPort: z.int().optional(),
})

export const liveEntrySchema = z.object({
  uid: z.string(),
  namespace: z.string(),
  name: z.string(),
  pod: z.object({ name: z.string(), uid: z.string() }),
  containers: z.array(containerSchema),
  cgroup: z.object({ version: z.union([z.literal(1), z.literal(2)]), path: z.string(), memoryPath: z.string() }),
  /**
   * `preparing`: keepers may run, files are copied, the pod runs; `dumping`: from before the first container is stopped;
   * `fenced`: the pod is frozen and claimed, pages can be had; `failed`: it came to nothing and is unwound.
   */
  step: z.enum(['preparing', 'dumping', 'fenced', 'failed']),
  /** RFC 3339. */
  startedAt: z.string(),
  /** RFC 3339: right before the first container was stopped, an upper bound of the downtime. */
  frozenAt: z.string().optional(),
  precopyMs: z.int().min(0).optional(),
  dumpMs: z.int().min(0).optional(),
  fenceMs: z.int().min(0).optional(),
  commitMs: z.int().min(0).optional(),
  /** Of the files, while the pod ran. */
  filesystemBytes: z.int().min(0).optional(),
  /** What the pod used when it was frozen. */
  memoryBytes: z.int().min(0).optional(),
  /** Why it is `failed`, or is being unwound; kept until the status has it. */
  failure: z.object({ reason: z.string(), message: z.string(), criuLog: z.array(z.string()) }).optional(),
})

export type LiveEntry = z.output<typeof liveEntrySchema>
