import type { KubeObject } from '../resource.ts'

/** Says of an object whether a list or watch with these selectors tells of it. */
export type Matcher = (object: KubeObject) => boolean

/** Label selectors `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`; field selectors `path=value` and `path!=value`. */
export function matcher(namespace: string | undefined, labelSelector: string, fieldSelector: string): Matcher {
  const labels = splitTerms(labelSelector).map(labelTerm)
  const fields = splitTerms(fieldSelector).map(fieldTerm)
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    [...labels, ...fields].every((matches) => matches(object))
}

function splitTerms(selector: string): string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '')
}

function labelTerm(term: string): Matcher {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term)
  if (set !== null) {
    const [, name = '', operator, values = ''] = set
    const allowed = values.split(',').map((value) => value.trim())
    return ({ metadata }) => allowed.includes(metadata.labels?.[name] ?? '') === (operator === 'in')
  }
  const compared = /^([^!=\s]+)\s*(==|=|!=)\s*(\S*)$/.exec(term)
  if (compared !== null) {
    const [, name = '', operator, value = ''] = compared
    return ({ metadata }) => (metadata.labels?.[name] === value) === (operator !== '!=')
  }
  if (term.startsWith('!')) return ({ metadata }) => metadata.labels?.[term.slice(1)] === undefined
  return ({ metadata }) => metadata.labels?.[term] !== undefined
}

function fieldTerm(term: string): Matcher {
  const [, path = '', operator, value = ''] = /^([^!=]+)(==|=|!=)(.*)$/.exec(term) ?? []
  return (object) => {
    let found: unknown = object
    for (const part of path.split('.')) found = (found as Record<string, unknown> | undefined)?.[part]
    return (String(found ?? '') === value) === (operator !== '!=')
  }
}
