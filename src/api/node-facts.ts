/** What an agent reports of its node: an annotation of the Node object, read by controller and CLI. */
import { z } from 'zod'
import { FACTS_ANNOTATION } from './names.ts'
import type { Node } from './pod.ts'

const ability = z.object({ able: z.boolean(), reason: z.string().optional(), message: z.string().optional() })

/** Every member but the abilities may be missing: what could not be found out is not reported, and checks pass over it. */
const factsSchema = z.object({
  /** Mode Live: handler, programs and kernel. Mode Image: whether the runtime restores from a checkpoint image. */
  live: ability,
  image: ability,
  /** Name and version, such as `containerd 2.3.4`. */
  runtime: z.string().optional(),
  /** Versions as the programs print them. */
  runc: z.string().optional(),
  /** Empty: there is none. */
  criu: z.string().optional(),
  /** What `criu check` complains of; empty: nothing. */
  criuCheck: z.string().optional(),
  kernel: z.string().optional(),
  cgroup: z.union([z.literal(1), z.literal(2)]).optional(),
  /** Instruction sets that programs may have found and may use, separated by spaces. */
  cpu: z.string().optional(),
  /** Sysctl kernel.io_uring_disabled: 2 means that nobody may use it. */
  ioUringDisabled: z.number().optional(),
  /** Free bytes in the storage of the runtime, rounded down. */
  diskFreeBytes: z.number().optional(),
  /** MemAvailable, rounded down. */
  memoryFreeBytes: z.number().optional(),
  /** Seconds by which the node's clock is ahead of the API server's; 0 up to what cannot be told apart. */
  clockAheadSeconds: z.number().optional(),
  /** The agent does not verify the kubelet's certificate. */
  kubeletInsecureTls: z.boolean().optional(),
})

export type NodeFacts = z.infer<typeof factsSchema>

/** @returns undefined while the node's agent has reported nothing, or something that this version can't read */
export function factsOf(node: Node | undefined): NodeFacts | undefined {
  const text = node?.metadata.annotations?.[FACTS_ANNOTATION]
  if (text === undefined) return undefined
  try {
    return factsSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
