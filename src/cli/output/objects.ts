/** Objects as `-o json|yaml|name` prints them. */
import { GROUP } from '../../api/names.ts'

export const OUTPUTS = ['json', 'yaml', 'name', 'wide'] as const
export type Output = (typeof OUTPUTS)[number]

/** @returns for instance `migration.podferry.dev/counter-x7k2p` */
export const qualifiedName = (name: string): string => `migration.${GROUP}/${name}`

/** @returns the object as lines, without what only the API server's bookkeeping needs */
export async function formatObject(object: object, output: 'json' | 'yaml'): Promise<string[]> {
  const shown = withoutManagedFields(object)
  if (output === 'json') return [JSON.stringify(shown, null, 2)]
  const { stringify } = await import('yaml')
  // Version 1.1 quotes what older parsers, kubectl's among them, would read as booleans.
  return [stringify(shown, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false }).trimEnd()]
}

function withoutManagedFields(object: object): object {
  if ('items' in object && Array.isArray(object.items))
    return { ...object, items: object.items.map(withoutManagedFields) }
  if (!('metadata' in object) || typeof object.metadata !== 'object') return object
  const { managedFields, ...metadata } = object.metadata as Record<string, unknown>
  return { ...object, metadata }
}
