/** The end of a Migration: the summary conditions, the downtime and the duration of each step. */
import { condition, rollbackCause } from '../api/conditions.ts'
import type { MigrationStatus, StepDurations } from '../api/migration.ts'
import { isSentBack } from '../api/recreated.ts'
import { elapsedMs, formatDuration } from '../api/timestamps.ts'
import { nodeNamed, type Snapshot } from './snapshot.ts'
import { type Plan, write } from './step.ts'
import { RECOVERED } from './steps/outage.ts'
import { returnOutcome } from './steps/restore-recreated.ts'

/** @returns the plan that writes Succeeded=True */
export function succeeded(snapshot: Snapshot, now: Date): Plan {
  const { status } = snapshot.migration
  const downtime = status?.timings?.downtimeMs ?? downtimeOf(status, status?.timings?.restoredAt) ?? 0
  const message = `pod ${status?.destination?.podName} runs on ${status?.destination?.node}; downtime ${formatDuration(downtime)}`
  return end(snapshot, now, true, { reason: 'Moved', message })
}

/** @returns the plan that writes Succeeded=False after the source was resumed */
export function rolledBack(snapshot: Snapshot, now: Date): Plan {
  const { status } = snapshot.migration
  const { reason = 'Unknown', message = 'no reason was recorded' } = status?.failure ?? rollbackCause(status) ?? {}
  const why = { reason: 'RolledBack', message: `${outcomeOf(snapshot, reason)}: ${reason}: ${message}` }
  return end(snapshot, now, false, why, { failure: { ...status?.failure, reason, message } })
}

function outcomeOf(snapshot: Snapshot, reason: string): string {
  const returned = returnOutcome(snapshot)
  if (returned !== undefined) return returned
  const { spec, status } = snapshot.migration
  const { node, podUID } = status?.source ?? {}
  if (!nodeNamed(snapshot, node)) return `source node ${node} left the cluster, and the pod with it`
  const pod = snapshot.sourcePod
  const lost = ['PodGone', 'PodTerminating', 'PodReplaced'].includes(reason)
  if (lost || pod?.metadata.uid !== podUID || pod?.metadata.deletionTimestamp)
    return 'the pod was removed by somebody else'
  const cause = rollbackCause(status)
  const undone = cause?.type === 'Delivered' || cause?.reason === RECOVERED
  return `pod ${spec.podName} runs on at ${node}${undone ? ' as it was at the commit; what it did since is undone' : ''}`
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
  const returned = success || isSentBack(status)
  const downtimeMs = downtimeOf(status, returned ? status?.timings?.restoredAt : status?.source?.cleanedAt)
  // The agents have measured theirs themselves.
  const steps = { ...status?.timings?.steps, ...stepDurations(status) }
  return write(
    snapshot,
    now,
    [
      { type: 'Succeeded', status: success ? 'True' : 'False', ...why },
      { type: 'Failed', status: success ? 'False' : 'True', ...why },
    ],
    {
      ...fields,
      ...(status?.source ? { source: withoutManifest(status.source) } : {}),
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

/** It has done its work, and holds the pod's environment. */
function withoutManifest({ manifest: _done, ...source }: NonNullable<MigrationStatus['source']>) {
  return source
}

/** From the last instruction at the source to the first at the destination, or back at the source. */
function downtimeOf(status: MigrationStatus | undefined, resumedAt: string | undefined): number | undefined {
  const { frozenAt } = status?.timings ?? {}
  return frozenAt === undefined || resumedAt === undefined ? undefined : elapsedMs(frozenAt, resumedAt)
}

type Span = [step: keyof StepDurations, from: string | undefined, to: string | undefined]

function stepDurations(status: MigrationStatus | undefined): StepDurations {
  const { acceptedAt, frozenAt, committedAt, restoredAt } = status?.timings ?? {}
  const settled = (type: 'DestinationReady' | 'Checkpointed' | 'Delivered' | 'SourceRemoved') => {
    const found = condition(status, type)
    return found?.status === 'True' ? found.lastTransitionTime : undefined
  }
  const spans: Span[] = [
    ['prepareMs', acceptedAt, settled('DestinationReady')],
    ['restoreMs', committedAt, restoredAt],
  ]
  const image: Span[] = [
    ['checkpointMs', frozenAt, settled('Checkpointed')],
    ['deliverMs', settled('Checkpointed'), settled('Delivered')],
    ['commitMs', settled('Delivered'), committedAt],
    ['removeSourceMs', restoredAt, settled('SourceRemoved')],
  ]
  const live: Span[] = [
    ['pagesMs', restoredAt, settled('Delivered')],
    ['removeSourceMs', settled('Delivered'), settled('SourceRemoved')],
  ]
  const steps: StepDurations = {}
  for (const [name, from, to] of [...spans, ...(status?.mode === 'Live' ? live : image)]) {
    if (from !== undefined && to !== undefined) steps[name] = elapsedMs(from, to)
  }
  return steps
}
