/** The rows of `podferry list`: the columns that `kubectl get mig` has. Pure. */
import { phaseOf } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { formatTable } from './table.ts'
import { formatAge } from './units.ts'

interface TableOptions {
  /** A NAMESPACE column in front. */
  namespaces: boolean
  /** A REASON column before AGE. */
  wide: boolean
}

type Column = readonly [header: string, value: (migration: Migration) => string | undefined]

/** @returns lines, header first; oldest Migration first, as they were made one after the other */
export function migrationTable(migrations: readonly Migration[], now: Date, options: TableOptions): string[] {
  const columns: Column[] = [
    ...optional(options.namespaces, ['NAMESPACE', (m) => m.metadata.namespace]),
    ['NAME', (m) => m.metadata.name],
    ['POD', (m) => m.spec.podName],
    ['FROM', (m) => m.status?.source?.node],
    ['TO', (m) => m.status?.destination?.node ?? m.spec.destinationNode],
    ['MODE', (m) => m.status?.mode ?? m.spec.mode],
    ['PHASE', (m) => phaseOf(m.status)],
    ['DOWNTIME', (m) => m.status?.timings?.downtime],
    ...optional(options.wide, ['REASON', (m) => m.status?.failure?.reason]),
    ['AGE', (m) => formatAge(now.getTime() - Date.parse(m.metadata.creationTimestamp))],
  ]
  const byAge = [...migrations].sort((a, b) => sortKey(a).localeCompare(sortKey(b)))
  return formatTable([columns.map(([header]) => header), ...byAge.map((m) => columns.map(([, value]) => value(m)))])
}

const optional = (wanted: boolean, column: Column): Column[] => (wanted ? [column] : [])

const sortKey = ({ metadata }: Migration) => `${metadata.namespace} ${metadata.creationTimestamp} ${metadata.name}`
