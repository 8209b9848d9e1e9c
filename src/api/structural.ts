/**
 * From the JSON schema that zod emits to a structural schema as the API server demands it
 * (kubernetes.io, "Specifying a structural schema").
 */

export interface JsonSchema {
  [keyword: string]: unknown
  type?: string
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  required?: string[]
}

const FORBIDDEN = [
  'oneOf',
  'anyOf',
  'allOf',
  'not',
  '$ref',
  'definitions',
  'patternProperties',
  'const',
  'id',
  '$schema',
]

/**
 * @returns the structural form: no `additionalProperties: false`, no safe-integer bounds that only JavaScript needs,
 * integers with a format, date-times without zod's pattern.
 */
export function toStructural(schema: JsonSchema): JsonSchema {
  const { additionalProperties, $schema, ...rest } = schema
  const out: JsonSchema = { ...rest }
  if (additionalProperties !== undefined && additionalProperties !== false)
    out.additionalProperties = additionalProperties
  if (out.type === 'integer') {
    out.format = 'int64'
    if (out.maximum === Number.MAX_SAFE_INTEGER) delete out.maximum
    if (out.minimum === Number.MIN_SAFE_INTEGER) delete out.minimum
  }
  if (out.format === 'date-time') delete out.pattern
  if (schema.properties) {
    out.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [name, toStructural(child)]),
    )
  }
  if (schema.items) out.items = toStructural(schema.items)
  return out
}

/**
 * @returns every place where the schema is not structural, as `path: what`; empty when it is
 */
export function structuralProblems(schema: JsonSchema, path = ''): string[] {
  const problems = FORBIDDEN.filter((keyword) => keyword in schema).map(
    (keyword) => `${path || '.'}: ${keyword} is not allowed`,
  )
  const openEnded =
    schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true
  if (schema.type === undefined && !openEnded) problems.push(`${path || '.'}: type is missing`)
  for (const lookAround of ['(?=', '(?!', '(?<']) {
    if (typeof schema.pattern === 'string' && schema.pattern.includes(lookAround)) {
      problems.push(`${path}: RE2 has no ${lookAround}`)
    }
  }
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    problems.push(...structuralProblems(child, `${path}.${name}`))
  }
  if (schema.items) problems.push(...structuralProblems(schema.items, `${path}[]`))
  return problems
}
