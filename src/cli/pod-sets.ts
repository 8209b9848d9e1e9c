/** What a command names when it means several pods: an owner, a selector, the node they are to leave. */
import type { Pod } from '../api/pod.ts'
import { PODS } from '../api/resources.ts'
import type { KubeObject, Resource } from '../kube/resource.ts'
import type { Session } from './connection-options.ts'
import { UsageError } from './exit-codes.ts'

export interface PodSetFlags {
  /** Labels, as kubectl takes them. */
  selector?: string
  /** Only pods that are on this node. */
  awayFrom?: string
  to?: string
}

interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'; values?: string[] }[]
}

interface Selecting extends KubeObject {
  spec: { selector?: LabelSelector }
}

type Owners = Resource<Selecting>

const owners = (group: string, plural: string): Owners => ({ group, version: 'v1', plural, namespaced: true })

/** By the words that kubectl knows for them. */
const OWNERS: Readonly<Record<string, Owners>> = Object.fromEntries(
  [
    { resource: owners('apps', 'deployments'), words: ['deployment', 'deployments', 'deploy'] },
    { resource: owners('apps', 'replicasets'), words: ['replicaset', 'replicasets', 'rs'] },
    { resource: owners('apps', 'statefulsets'), words: ['statefulset', 'statefulsets', 'sts'] },
    { resource: owners('batch', 'jobs'), words: ['job', 'jobs'] },
  ].flatMap(({ resource, words }) => words.map((word) => [word, resource])),
)

export type PodSet = { owner: { resource: Owners; name: string } } | { selector: string }

/**
 * @param target `pod/NAME`, `deployment/NAME` …, or none
 * @returns undefined when one pod is meant
 * @throws UsageError naming the flag that does not fit
 */
export function podSetOf(target: string | undefined, { selector, awayFrom, to }: PodSetFlags): PodSet | undefined {
  if (to !== undefined && awayFrom !== undefined)
    throw new UsageError('--to and --away-from do not go together: leave one out')
  if (selector !== undefined) {
    if (target !== undefined) throw new UsageError(`${target} and --selector do not go together: leave one out`)
    if (selector.trim() === '') throw new UsageError('--selector: give at least one label, such as app=web')
    return { selector }
  }
  if (target === undefined)
    throw new UsageError('which pod? give pod/NAME, deployment/NAME, statefulset/NAME, job/NAME or --selector LABELS')
  const slash = target.indexOf('/')
  const resource = slash < 0 ? undefined : OWNERS[target.slice(0, slash)]
  if (resource) {
    const name = target.slice(slash + 1)
    if (name === '') throw new UsageError(`${target}: the name is missing`)
    return { owner: { resource, name } }
  }
  if (awayFrom !== undefined)
    throw new UsageError(`--away-from chooses among several pods: with ${target} give --to NODE, or neither`)
  return undefined
}

/**
 * @returns the pods that are meant, by name: alive, and not yet where they are to go
 * @throws KubeError; UsageError for an owner whose selector is empty
 */
export async function podsIn(set: PodSet, { awayFrom, to }: PodSetFlags, session: Session): Promise<Pod[]> {
  const { client, namespace, timeoutMs } = session
  const { items } = await client.list(PODS, { namespace, labelSelector: await selectorOf(set, session), timeoutMs })
  const isMeant = ({ metadata, spec, status }: Pod): boolean =>
    metadata.deletionTimestamp === undefined &&
    status?.phase !== 'Succeeded' &&
    status?.phase !== 'Failed' &&
    (awayFrom === undefined || spec.nodeName === awayFrom) &&
    (to === undefined || spec.nodeName !== to)
  return items.filter(isMeant).sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
}

async function selectorOf(set: PodSet, { client, namespace, timeoutMs }: Session): Promise<string> {
  if ('selector' in set) return set.selector
  const { resource, name } = set.owner
  const { spec } = await client.get(resource, namespace, name, { timeoutMs })
  return selectorText(spec.selector ?? {})
}

/** @returns as the API server takes it in a query */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`)
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key
    if (operator === 'DoesNotExist') return `!${key}`
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`
  })
  const all = [...labels, ...expressions]
  // An empty selector would mean every pod there is.
  if (all.length === 0) throw new UsageError('its selector is empty: name the pods by --selector LABELS')
  return all.join(',')
}
