/** admission.k8s.io/v1, as far as it concerns the creation of a pod. */
import { z } from 'zod'

const reviewSchema = z.looseObject({
  apiVersion: z.literal('admission.k8s.io/v1'),
  request: z.looseObject({
    uid: z.string().min(1),
    operation: z.literal('CREATE'),
    namespace: z.string().min(1),
    dryRun: z.boolean().optional(),
    object: z.looseObject({
      metadata: z.looseObject({
        name: z.string().optional(),
        labels: z.record(z.string(), z.string()).optional(),
        annotations: z.record(z.string(), z.string()).optional(),
        ownerReferences: z.array(z.looseObject({ uid: z.string(), controller: z.boolean().optional() })).optional(),
      }),
    }),
  }),
})

export type Creation = z.output<typeof reviewSchema>['request']

export type PatchOperation = { op: 'add' | 'replace'; path: string; value: unknown }

/** @throws ZodError when the body is no review of a creation */
export const parseReview = (body: string): Creation => reviewSchema.parse(JSON.parse(body)).request

/** Its owner tries again, and again. */
export const reviewRefusal = (uid: string, message: string): object => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid, allowed: false, status: { code: 409, reason: 'Conflict', message } },
})

/** The creation is allowed; the question is only what becomes of it. */
export function reviewAnswer(uid: string, patch: PatchOperation[] | undefined): object {
  const change =
    patch === undefined ? {} : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true, ...change } }
}
