/** Migrations as they look at given moments, for the tests of what is shown of them. */
import { type ConditionType, phaseOf, withCondition } from '../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { API_VERSION, KIND } from '../../api/names.ts'

const BEGIN = Date.parse('2026-01-02T03:04:00.000Z')

/** @returns RFC 3339, so many milliseconds after the Migration was made */
export const at = (ms: number): string => new Date(BEGIN + ms).toISOString()

type Event = [ms: number, type: ConditionType, status: 'True' | 'False' | 'Unknown', reason: string, message: string]

const FORWARD: Event[] = [
  [100, 'Accepted', 'True', 'ChecksPassed', 'pod counter can move'],
  [500, 'DestinationReady', 'True', 'Ready', 'node node-2 can take it'],
  [1500, 'Checkpointed', 'True', 'PodFrozen', '1 container checkpointed'],
  [4500, 'Delivered', 'True', 'RegistryEvent', '1 checkpoint image(s) in the registry of node node-2'],
  [4550, 'Committed', 'True', 'CheckpointDelivered', 'from now on only node node-2 may run the pod'],
  [6550, 'Restored', 'True', 'Running', 'runs from the checkpoint'],
  [7550, 'SourceRemoved', 'True', 'SourcePodDeleted', 'pod counter is gone and node node-1 is clean'],
]

function history(events: readonly Event[], fields: MigrationStatus): Migration {
  const told = events.reduce<MigrationStatus>(
    (status, [ms, type, truth, reason, message]) =>
      withCondition(status, { type, status: truth, reason, message }, at(ms)),
    fields,
  )
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'counter-x7k2p', namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: at(0) },
    spec: { podName: 'counter', destinationNode: 'node-2', mode: 'Auto', connections: 'Auto', timeoutSeconds: 600 },
    status: { ...told, phase: phaseOf(told) },
  }
}

const ROUTE: MigrationStatus = {
  mode: 'Image',
  source: { node: 'node-1', podUID: 'p' },
  destination: { node: 'node-2' },
}
const CONTAINERS = [
  { name: 'main', image: 'counter:1', imageID: 'counter@sha256:aa', archiveBytes: 3 << 20, digest: 'sha256:bb' },
]

/** Only made; no controller has looked at it. */
export function created(): Migration {
  const { status, ...migration } = history([], {})
  return migration
}

/** The checkpoint is under way to the destination. */
export const delivering = (): Migration =>
  history(FORWARD.slice(0, 3), {
    ...ROUTE,
    containers: [{ name: 'main', image: 'counter:1', imageID: 'counter@sha256:aa', archiveBytes: 3 << 20 }],
    transfer: { sentBytes: 1 << 20 },
  })

export const committed = (): Migration => history(FORWARD.slice(0, 5), { ...ROUTE, containers: CONTAINERS })

export const moved = (): Migration =>
  history(
    [
      ...FORWARD,
      [7600, 'Succeeded', 'True', 'Moved', 'pod counter-5f2a1 runs on node-2; downtime 5.05s'],
      [7600, 'Failed', 'False', 'Moved', ''],
    ],
    {
      ...ROUTE,
      destination: { node: 'node-2', podName: 'counter-5f2a1' },
      containers: CONTAINERS,
      timings: { frozenAt: at(1500), restoredAt: at(6550), downtimeMs: 5050, downtime: '5.05s', totalMs: 7600 },
    },
  )

/** Mode Live: it runs at the destination already, most of its memory is still to come. */
export const streaming = (): Migration =>
  history(
    [
      ...FORWARD.slice(0, 3),
      [1600, 'Committed', 'True', 'Staged', 'from now on only node node-2 may run the pod'],
      [1900, 'Restored', 'True', 'FromCheckpoint', 'runs from the checkpoint on node node-2'],
    ],
    { ...ROUTE, mode: 'Live', containers: [], transfer: { pagesPending: 512 } },
  )

/** Mode Live: the memory can't be completed any more. */
export const pagesLost = (): Migration => {
  const { status } = streaming()
  const lost = { type: 'Delivered', status: 'False', reason: 'PagesLost', message: 'the link was cut' } as const
  const next = withCondition({ ...status, failure: { reason: lost.reason, message: lost.message } }, lost, at(5000))
  return { ...streaming(), status: { ...next, phase: phaseOf(next) } }
}

/** The destination node has gone silent. */
export const lost = (): Migration => {
  const { status } = committed()
  const unknown = {
    type: 'Restored',
    status: 'Unknown',
    reason: 'DestinationLost',
    message: 'node-2 went silent',
  } as const
  const next = withCondition(status ?? {}, unknown, at(9000))
  return { ...committed(), status: { ...next, phase: phaseOf(next) } }
}

export const refused = (): Migration =>
  history(
    [
      [100, 'Accepted', 'False', 'SameNode', 'pod counter is on node-2 already; name another node'],
      [150, 'Succeeded', 'False', 'SameNode', 'pod counter is on node-2 already; name another node'],
      [150, 'Failed', 'True', 'SameNode', 'pod counter is on node-2 already; name another node'],
    ],
    { timings: { totalMs: 150 } },
  )

export const rollingBack = (): Migration =>
  history(
    [
      ...FORWARD.slice(0, 2),
      [1500, 'Checkpointed', 'False', 'DumpFailed', 'CRIU cannot dump container main'],
      [1600, 'Committed', 'False', 'DumpFailed', 'CRIU cannot dump container main'],
    ],
    { ...ROUTE, failure: FAILURE },
  )

const FAILURE = {
  reason: 'DumpFailed',
  message: 'CRIU cannot dump container main',
  criuLog: ['Error (criu/files-ext.c:98): Can not dump file 3 of that type [20600] (chr 1:11 /dev/kmsg)'],
}

export const rolledBack = (): Migration => {
  const { status } = rollingBack()
  const summary = 'pod counter runs on at node-1: DumpFailed: CRIU cannot dump container main'
  const before = (status?.conditions ?? []).map(
    ({ type, status: truth, reason, message, lastTransitionTime }): Event => [
      Date.parse(lastTransitionTime) - BEGIN,
      type as ConditionType,
      truth,
      reason,
      message,
    ],
  )
  return history(
    [...before, [1800, 'Succeeded', 'False', 'RolledBack', summary], [1800, 'Failed', 'True', 'RolledBack', summary]],
    {
      ...ROUTE,
      failure: FAILURE,
      timings: { totalMs: 1800 },
    },
  )
}
