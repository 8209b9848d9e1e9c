/** The CustomResourceDefinition of Migration, made from the zod schema. */
import { z } from 'zod'
import { specSchema, statusSchema } from './migration.ts'
import { GROUP, KIND, VERSION } from './names.ts'
import { type JsonSchema, toStructural } from './structural.ts'

const fromZod = (schema: z.ZodType): JsonSchema =>
  toStructural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', reused: 'inline' }) as JsonSchema)

const COLUMNS = [
  { name: 'Pod', type: 'string', jsonPath: '.spec.podName' },
  { name: 'From', type: 'string', jsonPath: '.status.source.node' },
  { name: 'To', type: 'string', jsonPath: '.status.destination.node' },
  { name: 'Mode', type: 'string', jsonPath: '.status.mode' },
  { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
  { name: 'Downtime', type: 'string', jsonPath: '.status.timings.downtime' },
  { name: 'Reason', type: 'string', jsonPath: '.status.failure.reason', priority: 1 },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
]

/** @returns the CRD object, ready to be written as YAML or applied */
export function migrationCrd() {
  const spec = fromZod(specSchema)
  const immutable = {
    rule: 'self == oldSelf',
    message: 'spec is immutable: delete this Migration and create a new one',
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `migrations.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: 'migrations',
        singular: 'migration',
        shortNames: ['mig'],
        categories: ['podferry'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: COLUMNS,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: "One pod's move from the node it runs on to another.",
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: { ...spec, 'x-kubernetes-validations': [immutable] },
                status: fromZod(statusSchema),
              },
            },
          },
        },
      ],
    },
  }
}
