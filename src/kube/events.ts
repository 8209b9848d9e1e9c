import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { KubeClient } from './client.ts'
import { type Clock, systemClock } from './clock.ts'
import { isNotFound } from './error.ts'
import type { KubeObject, Resource, Unsaved } from './resource.ts'

/** core/v1 Event: unlike events.k8s.io/v1 it carries the count that `kubectl describe` prints. */
interface Event extends KubeObject {
  involvedObject: ObjectReference
  type: EventType
  reason: string
  message: string
  count: number
  firstTimestamp: string
  lastTimestamp: string
  source: { component: string; host?: string }
  reportingComponent: string
  reportingInstance: string
}

type EventType = 'Normal' | 'Warning'

interface ObjectReference {
  apiVersion: string
  kind: string
  namespace?: string
  name: string
  uid?: string
}

interface RecorderOptions {
  client: KubeClient
  /** `podferry-controller`, `podferry-agent`: the From column of `kubectl describe`. */
  component: string
  /** Which one of them: the pod or node. */
  instance: string
  log: Logger
  /** Repeats within this time after the last one raise the count of the first. Default 10 min. */
  windowMs?: number
  /** Events that may wait to be written; more are dropped. Default 500. */
  queueLimit?: number
  clock?: Clock
}

/** Writes events in the background; never throws and never delays its caller. */
export interface EventRecorder {
  event(object: KubeObject, type: EventType, reason: string, message: string): void
  /** Resolves when everything recorded so far was written or given up. */
  flush(): Promise<void>
}

/** One row of `kubectl describe`: what was written, and what came since. */
interface Row {
  reference: ObjectReference
  type: EventType
  reason: string
  message: string
  first: Date
  last: Date
  lastSeen: number
  count: number
  name?: string
}

export const events: Resource<Event> = { group: '', version: 'v1', plural: 'events', namespaced: true }

const messageLimit = 1024
const rememberedRows = 1000

/** A recorder that folds repeats of (object, type, reason, message) into one event with a count. */
export function createEventRecorder(options: RecorderOptions): EventRecorder {
  const { client, log, windowMs = 600_000, queueLimit = 500, clock = systemClock } = options
  const rows = new Map<string, Row>()
  const waiting = new Set<Row>()
  let writing: Promise<void> | undefined

  const write = async (row: Row) => {
    const namespace = row.reference.namespace ?? 'default'
    if (row.name !== undefined) {
      const body = { count: row.count, lastTimestamp: row.last.toISOString() }
      try {
        await client.patch(events, namespace, row.name, { type: 'merge', body })
        return
      } catch (error) {
        // Events live for an hour; one that went is written anew.
        if (!isNotFound(error)) throw error
      }
    }
    const event = toEvent(row, namespace, options)
    row.name = (await client.create(events, event)).metadata.name
  }

  const writeAll = async () => {
    for (const row of waiting) {
      waiting.delete(row)
      await write(row).catch((error) => log.warn({ err: error, reason: row.reason }, 'an event was not written'))
    }
    writing = undefined
  }

  const row = (reference: ObjectReference, type: EventType, reason: string, message: string): Row => {
    const key = JSON.stringify([reference, type, reason, message])
    const now = clock.now()
    const known = rows.get(key)
    // Taken out and put back: the map stays ordered by last use, its first entry is the one to forget.
    rows.delete(key)
    const date = clock.date()
    const current =
      known !== undefined && now - known.lastSeen <= windowMs
        ? known
        : { reference, type, reason, message, first: date, last: date, lastSeen: now, count: 0 }
    rows.set(key, current)
    if (rows.size > rememberedRows) rows.delete(rows.keys().next().value ?? key)
    return current
  }

  return {
    event(object, type, reason, message) {
      const current = row(referenceTo(object), type, reason, message.slice(0, messageLimit))
      current.count++
      current.last = clock.date()
      current.lastSeen = clock.now()
      if (waiting.size >= queueLimit && !waiting.has(current)) {
        log.warn({ reason, object: object.metadata.name }, 'too many events wait to be written; this one is dropped')
        return
      }
      waiting.add(current)
      writing ??= Promise.resolve().then(writeAll)
    },
    async flush() {
      await writing
    },
  }
}

function referenceTo(object: KubeObject): ObjectReference {
  const { namespace, name, uid } = object.metadata
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    ...(namespace === undefined ? {} : { namespace }),
    name,
    ...(uid === undefined ? {} : { uid }),
  }
}

function toEvent(row: Row, namespace: string, { component, instance }: RecorderOptions): Unsaved<Event> {
  // 253 characters a name may have, less the random part.
  const name = `${row.reference.name.slice(0, 230)}.${randomBytes(8).toString('hex')}`
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, name },
    involvedObject: row.reference,
    type: row.type,
    reason: row.reason,
    message: row.message,
    count: row.count,
    firstTimestamp: row.first.toISOString(),
    lastTimestamp: row.last.toISOString(),
    source: { component, host: instance },
    reportingComponent: component,
    reportingInstance: instance,
  }
}
