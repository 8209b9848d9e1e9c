/**
 * The Migration object: one zod schema is the source of the CRD, of the TypeScript types and of validation.
 *
 * `status` is the only thing through which controller and agents talk. Who may write which field is said in
 * docs/design/0001-image-mode.md and 0002-live-mode.md and repeated in one word in each description.
 */
import { z } from 'zod'
import type { KubeObject, ObjectMeta } from '../kube/resource.ts'

/** RFC 1123 subdomain: names of pods and nodes. RE2 must run it too, so no look-around. */
const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)

/** RFC 3339 with up to nanoseconds; compared and subtracted by `timestamps.ts`. */
const timestamp = z.string().meta({ format: 'date-time' })
const milliseconds = z.int().min(0)
const bytes = z.int().min(0)

export const MODES = ['Auto', 'Live', 'Image'] as const

export const specSchema = z.object({
  podName: objectName.describe('The pod to move, in the namespace of the Migration.'),
  destinationNode: objectName
    .optional()
    .describe('The node to move it to. Without it the scheduler picks a node other than the source.'),
  mode: z
    .enum(MODES)
    .default('Auto')
    .describe(
      'Live: memory follows after the process already runs. Image: checkpoint image through a registry. Auto: Live where both nodes can, else Image.',
    ),
  connections: z
    .enum(['Auto', 'Keep', 'Close'])
    .default('Auto')
    .describe('What becomes of open TCP connections. Auto: Keep where the network allows it, else Close.'),
  timeoutSeconds: z
    .int()
    .min(10)
    .max(86_400)
    .default(600)
    .describe('Seconds from Accepted to the commit; when they pass, the Migration is rolled back.'),
  ttlSecondsAfterFinished: z
    .int()
    .min(0)
    .optional()
    .describe('Seconds after which a finished Migration is deleted. Without it, it is kept.'),
})

const conditionSchema = z
  .object({
    type: z.string().min(1).max(316),
    status: z.enum(['True', 'False', 'Unknown']),
    reason: z
      .string()
      .min(1)
      .max(1024)
      .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/),
    message: z.string().max(32_768),
    lastTransitionTime: timestamp,
    observedGeneration: z.int().min(0).optional(),
  })
  .describe('A metav1.Condition.')

const containerSchema = z.object({
  name: z.string().min(1).max(63),
  image: z.string().describe('The image a person once wrote into the pod. Controller.'),
  imageID: z
    .string()
    .describe('What the source runs, as repository@digest: the destination needs exactly this. Controller.'),
  archiveBytes: bytes.optional().describe('Size of the checkpoint archive. Source agent.'),
  digest: z
    .string()
    .optional()
    .describe('Manifest digest of the checkpoint image seen in the destination registry. Event handler.'),
})

const stepsSchema = z
  .object({
    prepareMs: milliseconds.optional().describe('Accepted to DestinationReady. Controller.'),
    precopyMs: milliseconds.optional().describe('Live: copy of the files while the pod runs. Source agent.'),
    dumpMs: milliseconds
      .optional()
      .describe('Live: from the call of runc to the byte that says that pages are served. Source agent.'),
    fenceMs: milliseconds.optional().describe('Live: from that byte to the frozen pod. Source agent.'),
    stageMs: milliseconds.optional().describe('Live: images and changed files to the destination. Source agent.'),
    checkpointMs: milliseconds.optional().describe('Image: frozen to Checkpointed. Controller.'),
    deliverMs: milliseconds.optional().describe('Image: Checkpointed to Delivered. Controller.'),
    commitMs: milliseconds
      .optional()
      .describe('Image: Delivered to the commit, controller. Live: the write itself, source agent.'),
    restoreMs: milliseconds.optional().describe('Commit to the first instruction at the destination. Controller.'),
    pagesMs: milliseconds
      .optional()
      .describe('Live: first instruction at the destination to Delivered, while it runs. Controller.'),
    removeSourceMs: milliseconds.optional().describe('Until source pod and source node are clean. Controller.'),
  })
  .describe('Duration of each step. Those from checkpoint (Live: from dump) to restore are the downtime.')

export const statusSchema = z.object({
  observedGeneration: z.int().min(0).optional(),
  mode: z.enum(['Live', 'Image']).optional().describe('The mode in use. Controller.'),
  phase: z.string().optional().describe('For display only: computed from the conditions.'),
  failure: z
    .object({
      reason: z.string(),
      message: z.string(),
      criuLog: z.array(z.string()).optional().describe("CRIU's own `Error (` lines."),
    })
    .optional(),
  source: z
    .object({
      node: objectName,
      podUID: z.string(),
      owner: z
        .object({
          kind: z.enum(['ReplicaSet', 'StatefulSet', 'Job']),
          name: objectName,
          uid: z.string(),
          hash: z.string(),
        })
        .optional()
        .describe(
          'Whose pod it is; hash is the label by which the owner knows its pods (StatefulSet: their revision). Controller.',
        ),
      releasedAt: timestamp
        .optional()
        .describe('From now on the source may be without its owner; a rollback hands it back. Controller.'),
      recreated: z
        .literal(true)
        .optional()
        .describe(
          'Its object goes before the destination is made under the same name: of a StatefulSet, or with claims in mode Image. Controller.',
        ),
      manifest: z
        .string()
        .optional()
        .describe('Recreated: the source pod as JSON, from the commit to the end. Controller.'),
      emptiedAt: timestamp
        .optional()
        .describe('Recreated: the frozen processes are dead; the checkpoint is kept until Restored. Source agent.'),
      kept: z
        .array(z.string())
        .optional()
        .describe(
          'Recreated: checkpoint archives left on the source node as the pod could be restored nowhere. Source agent.',
        ),
      cleanedAt: timestamp.optional().describe('Nothing of this Migration is left on the source node. Source agent.'),
    })
    .optional(),
  destination: z
    .object({
      node: objectName,
      podName: objectName.optional().describe('Decided at Accepted, before there is such a pod. Controller.'),
      claim: z
        .string()
        .optional()
        .describe('UID of the admission request that was turned into the destination pod. Webhook.'),
      podUID: z.string().optional().describe('Of the one pod that may run there. Controller.'),
      restorer: z
        .enum(['Wrapper'])
        .optional()
        .describe("Mode Image: podferry's OCI runtime restores, as the container runtime does not. Controller."),
      imagesMissing: z.array(z.string()).optional().describe('Base images that the node lacks. Destination agent.'),
      removedAt: timestamp
        .optional()
        .describe('After a failed restore: nothing of the destination pod runs or can ever run. Destination agent.'),
      cleanedAt: timestamp
        .optional()
        .describe('Nothing of this Migration is left on the destination node. Destination agent.'),
    })
    .optional(),
  containers: z
    .array(containerSchema)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
  conditions: z
    .array(conditionSchema)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  timings: z
    .object({
      acceptedAt: timestamp.optional(),
      frozenAt: timestamp.optional().describe('The source executed no instruction after this. Source node clock.'),
      committedAt: timestamp.optional(),
      restoredAt: timestamp.optional().describe('The destination executes again. Destination node clock.'),
      finishedAt: timestamp.optional(),
      downtimeMs: milliseconds.optional(),
      downtime: z.string().optional().describe('downtimeMs for people, for instance 0.52s.'),
      totalMs: milliseconds.optional(),
      steps: stepsSchema.optional(),
    })
    .optional(),
  transfer: z
    .object({
      memoryBytes: bytes.optional(),
      filesystemBytes: bytes.optional(),
      pagesPending: z
        .int()
        .min(0)
        .optional()
        .describe('Live: pages of memory that the destination still lacks. Destination agent.'),
      sentBytes: bytes
        .optional()
        .describe('Bytes of the checkpoint that reached the destination so far. Source agent.'),
    })
    .optional(),
})

export type MigrationSpec = z.output<typeof specSchema>
export type MigrationStatus = z.output<typeof statusSchema>
export type Condition = z.output<typeof conditionSchema>
export type MigrationContainer = z.output<typeof containerSchema>
export type StepDurations = z.output<typeof stepsSchema>

/** Metadata of an object that the API server has stored. */
export interface Metadata extends ObjectMeta {
  uid: string
  resourceVersion: string
  creationTimestamp: string
}

export interface Migration extends KubeObject {
  metadata: Metadata
  spec: MigrationSpec
  status?: MigrationStatus
}
