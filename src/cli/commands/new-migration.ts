/** From the flags of `podferry migrate` to the object that is created. */
import { type MigrationSpec, specSchema } from '../../api/migration.ts'
import { API_VERSION, KIND } from '../../api/names.ts'
import { parseDuration } from '../duration-option.ts'
import { UsageError } from '../exit-codes.ts'

interface NewMigrationFlags {
  to?: string
  mode?: string
  connections?: string
  timeout?: string
  name?: string
}

/** What the API server will name and complete. */
export interface NewMigration {
  apiVersion: string
  kind: string
  metadata: { name?: string; generateName?: string; namespace: string }
  /** Defaults are left to the API server. */
  spec: Partial<MigrationSpec> & Pick<MigrationSpec, 'podName'>
}

const KINDS = ['pod', 'pods', 'po']
/** The API server adds five characters; the whole may have 253. */
const MAX_PREFIX = 247

/**
 * @param target `pod/NAME`, or NAME alone
 * @throws UsageError naming the flag that is wrong
 */
export function newMigration(target: string, namespace: string, flags: NewMigrationFlags): NewMigration {
  const podName = podNameOf(target)
  const fields = {
    podName,
    destinationNode: flags.to,
    mode: flags.mode,
    connections: flags.connections,
    timeoutSeconds: flags.timeout === undefined ? undefined : parseDuration(flags.timeout, '--timeout') / 1000,
  }
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  const checked = specSchema.safeParse(given)
  if (!checked.success) throw usageError(checked.error.issues[0], given)
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { ...nameOf(podName, flags.name), namespace },
    spec: given as NewMigration['spec'],
  }
}

/** @throws UsageError for a kind that is no pod */
export function podNameOf(target: string): string {
  const slash = target.indexOf('/')
  if (slash < 0) return target
  const kind = target.slice(0, slash)
  if (KINDS.includes(kind)) return target.slice(slash + 1)
  throw new UsageError(`${target}: only a pod can be moved; give pod/NAME (kubectl get pods shows the names)`)
}

const nameOf = (podName: string, name: string | undefined) =>
  name === undefined ? { generateName: `${podName.slice(0, MAX_PREFIX)}-` } : { name }

const FLAG_OF: Readonly<Record<string, string>> = {
  podName: 'pod name',
  destinationNode: '--to',
  mode: '--mode',
  connections: '--connections',
  timeoutSeconds: '--timeout',
}

function usageError(
  issue: { path: PropertyKey[]; message: string } | undefined,
  given: Record<string, unknown>,
): UsageError {
  const field = String(issue?.path[0])
  return new UsageError(`${FLAG_OF[field] ?? field} ${JSON.stringify(given[field])}: ${issue?.message}`)
}
