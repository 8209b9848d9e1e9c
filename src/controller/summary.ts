/** The end of a Migration: the summary conditions, the downtime and the duration of each step. */
import { condition, isFalse } from '../api/conditions.ts'
import type { MigrationStatus, StepDurations } from '../api/migration.ts'
import { elapsedMs, formatDuration } from '../api/timestamps.ts'
import type { Snapshot } from './snapshot.ts'
import { type Plan, write } from './step.ts'

/** @returns the plan that writes Succeeded=True */
export function succeeded(snapshot: Snapshot, now: Date): Plan {
  const { status } = snapshot.migration
  const downtime = status?.timings?.downtimeMs ?? downtimeOf(status) ?? 0
  const message = `pod ${status?.destination?.podName} runs on ${status?.destination?.node}; downtime ${formatDuration(downtime)}`
  return end(snapshot, now, true, { reason: 'Moved', message })
}

/** @returns the plan that writes Succeeded=False after the source was resumed */
export function rolledBack(snapshot: Snapshot, now: Date): Plan {
  const { status, spec } = snapshot.migration
  const decisive = isFalse(status, 'Committed') ? condition(status, 'Committed') : condition(status, 'Restored')
  const { reason = 'Unknown', message = 'no reason was recorded' } = status?.failure ?? decisive ?? {}
  const lost = ['PodGone', 'PodTerminating', 'PodReplaced'].includes(reason)
  const outcome = lost
    ? 'the pod was removed by somebody else'
    : `pod ${spec.podName} runs on at ${status?.source?.node}`
  const why = { reason: 'RolledBack', message: `${outcome}: ${reason}: ${message}` }
  return end(snapshot, now, false, why, { failure: { ...status?.failure, reason, message } })
}

/** @returns the plan that writes Succeeded=False for a Migration that preflight refused */
export function refused(snapshot: Snapshot, now: Date): Plan {
  const accepted = condition(snapshot.migration.status, 'Accepted')
  return end(snapshot, now, false, { reason: accepted?.reason ?? 'Refused', message: accepted?.message ?? '' })
}

function end(
  snapshot: Snapshot,
  now: Date,
  success: boolean,
  why: { reason: string; message: string },
  fields: Partial<MigrationStatus> = {},
): Plan {
  const { status, metadata } = snapshot.migration
  const finishedAt = now.toISOString()
  const downtimeMs = downtimeOf(status)
  const steps = stepDurations(status)
  return write(
    snapshot,
    now,
    [
      { type: 'Succeeded', status: success ? 'True' : 'False', ...why },
      { type: 'Failed', status: success ? 'False' : 'True', ...why },
    ],
    {
      ...fields,
      timings: {
        ...status?.timings,
        finishedAt,
        totalMs: elapsedMs(metadata.creationTimestamp, finishedAt),
        ...(downtimeMs === undefined ? {} : { downtimeMs, downtime: formatDuration(downtimeMs) }),
        ...(Object.keys(steps).length > 0 ? { steps } : {}),
      },
    },
  )
}

/** From the last instruction at the source to the first at the destination, or back at the source. */
function downtimeOf(status: MigrationStatus | undefined): number | undefined {
  const { frozenAt, restoredAt } = status?.timings ?? {}
  if (frozenAt === undefined) return undefined
  const resumedAt = restoredAt ?? status?.source?.cleanedAt
  return resumedAt === undefined ? undefined : elapsedMs(frozenAt, resumedAt)
}

function stepDurations(status: MigrationStatus | undefined): StepDurations {
  const { acceptedAt, frozenAt, committedAt, restoredAt } = status?.timings ?? {}
  const settled = (type: 'DestinationReady' | 'Checkpointed' | 'Delivered' | 'SourceRemoved') => {
    const found = condition(status, type)
    return found?.status === 'True' ? found.lastTransitionTime : undefined
  }
  const spans: [keyof StepDurations, string | undefined, string | undefined][] = [
    ['prepareMs', acceptedAt, settled('DestinationReady')],
    ['checkpointMs', frozenAt, settled('Checkpointed')],
    ['deliverMs', settled('Checkpointed'), settled('Delivered')],
    ['commitMs', settled('Delivered'), committedAt],
    ['restoreMs', committedAt, restoredAt],
    ['removeSourceMs', restoredAt, settled('SourceRemoved')],
  ]
  const steps: StepDurations = {}
  for (const [name, from, to] of spans) if (from !== undefined && to !== undefined) steps[name] = elapsedMs(from, to)
  return steps
}
