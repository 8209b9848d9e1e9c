/** The sections of `podferry status`. Pure. */
import { phaseOf } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { formatDuration } from '../../api/timestamps.ts'
import { type StepView, stepsOf } from './steps.ts'
import { formatTable } from './table.ts'
import { formatAge, formatBytes } from './units.ts'

/** @returns lines: what moves where, each step, each container, and why it failed if it did */
export function describeMigration(migration: Migration, now: Date): string[] {
  return [...header(migration, now), '', ...steps(migration), ...containers(migration), ...failure(migration)]
}

function header({ metadata, spec, status }: Migration, now: Date): string[] {
  const { source, destination, timings } = status ?? {}
  const arrivedAs = destination?.podName === undefined ? '' : ` -> ${destination.podName}`
  const age = formatAge(now.getTime() - Date.parse(metadata.creationTimestamp))
  const rows: [string, string | undefined][] = [
    ['Name', metadata.name],
    ['Namespace', metadata.namespace],
    ['Pod', `${spec.podName}${arrivedAs}`],
    ['From', source?.node],
    ['To', destination?.node ?? spec.destinationNode],
    ['Mode', status?.mode ?? spec.mode],
    ['Phase', phaseOf(status)],
    ['Created', `${metadata.creationTimestamp} (${age} ago)`],
    ['Downtime', timings?.downtime],
    ['Total', timings?.totalMs === undefined ? undefined : formatDuration(timings.totalMs)],
  ]
  return rows.map(([title, value]) => `${`${title}:`.padEnd(11)}${value ?? '<none>'}`)
}

const steps = (migration: Migration) =>
  formatTable([['STEP', 'STATE', 'TOOK', 'MESSAGE'], ...stepsOf(migration).map(stepRow)])

const stepRow = ({ title, state, tookMs, message }: StepView) => [
  title,
  state,
  tookMs === undefined ? undefined : formatDuration(tookMs),
  state === 'skipped' ? undefined : cut(message),
]

const MESSAGE_LENGTH = 100

/** The whole of a failure stands below the table, once. */
const cut = (message = '') =>
  message.length > MESSAGE_LENGTH ? `${message.slice(0, MESSAGE_LENGTH - 1).trimEnd()}…` : message

function containers({ status }: Migration): string[] {
  const rows = (status?.containers ?? []).map(({ name, image, archiveBytes, digest }) => [
    name,
    image,
    archiveBytes === undefined ? undefined : formatBytes(archiveBytes),
    digest,
  ])
  return rows.length === 0 ? [] : ['', ...formatTable([['CONTAINER', 'IMAGE', 'CHECKPOINT', 'DIGEST'], ...rows])]
}

function failure({ status }: Migration): string[] {
  if (!status?.failure) return []
  const { reason, message, criuLog = [] } = status.failure
  return ['', `Failure: ${reason}: ${message}`, ...criuLog.map((line) => `  CRIU: ${line}`)]
}
