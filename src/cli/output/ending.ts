/** The last words about a Migration: the downtime, or what went wrong, and the next command. Pure. */
import { condition, isFalse, isTrue } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { formatDuration } from '../../api/timestamps.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'

export interface Ending {
  exitCode: ExitCode
  lines: string[]
}

/**
 * @param program what the user types for us: `podferry` or `kubectl podferry`
 * @returns what to say of a finished Migration; errors belong on stderr
 */
export function endingOf(migration: Migration, program: string): Ending {
  return isTrue(migration.status, 'Succeeded') ? moved(migration) : failed(migration, program)
}

function moved({ metadata, spec, status }: Migration): Ending {
  const { namespace = 'default' } = metadata
  const { source, destination, timings } = status ?? {}
  const pod = destination?.podName ?? spec.podName
  const total = timings?.totalMs === undefined ? '' : `, ${formatDuration(timings.totalMs)} in all`
  return {
    exitCode: EXIT.done,
    lines: [
      `pod ${namespace}/${spec.podName} moved from ${source?.node} to ${destination?.node} as ${pod}`,
      `downtime ${timings?.downtime ?? 'not measured'}${total}`,
      `next: kubectl logs -n ${namespace} ${pod}`,
    ],
  }
}

function failed(migration: Migration, program: string): Ending {
  const { metadata, spec, status } = migration
  const { namespace = 'default', name } = metadata
  const summary = condition(status, 'Succeeded')
  const {
    reason,
    message,
    criuLog = [],
  } = status?.failure ?? {
    reason: summary?.reason ?? 'Unknown',
    message: summary?.message ?? 'no reason recorded',
  }
  return {
    exitCode: reason === 'TimedOut' ? EXIT.timedOut : EXIT.migrationFailed,
    lines: [
      `error: ${namespace}/${name} did not move pod ${spec.podName}: ${reason}: ${message}`,
      ...criuLog.map((line) => `CRIU: ${line}`),
      `source: ${sourceState(migration)}`,
      ...(status?.timings?.downtime === undefined ? [] : [`downtime ${status.timings.downtime}`]),
      `next: ${program} status -n ${namespace} ${name}`,
    ],
  }
}

/** Reasons for which there is no source any more, through no deed of ours. */
const SOURCE_LOST = ['PodGone', 'PodTerminating', 'PodReplaced']

function sourceState({ metadata, spec, status }: Migration): string {
  const pod = `pod ${metadata.namespace ?? 'default'}/${spec.podName}`
  if (status?.failure?.reason === 'PodNotFound') return 'there is none'
  if (isFalse(status, 'Accepted')) return `${pod} was not touched`
  if (SOURCE_LOST.includes(status?.failure?.reason ?? '')) return `${pod} was removed by somebody else`
  const node = status?.source?.node
  const thawed = status?.timings?.frozenAt === undefined ? '' : ', thawed'
  // After the commit it was the destination that went on.
  const undone = isTrue(status, 'Committed') ? ', as it was at the commit' : ''
  return `${pod} runs on at ${node}${thawed}${undone}`
}
