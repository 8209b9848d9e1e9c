/** What an agent asks of another in mode Live, and whether it may. Pure. */
import { z } from 'zod'
import { isFalse, isTrue, truth } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { type FileRoot, isFileRoot } from '../live/files/roots.ts'
import { isLabel, isObjectName, isUID } from './names.ts'
import type { Refusal } from './upload-request.ts'

export interface LiveTarget {
  namespace: string
  migrationName: string
  migrationUID: string
}

export type LiveAsk =
  | { what: 'begin' }
  | { what: 'files'; root: FileRoot; level: 0 | 1 }
  | { what: 'images'; container: string }

export interface LiveRequest {
  target: LiveTarget
  ask: LiveAsk
}

export const beginSchema = z.object({
  /** Where the sender's page keepers listen. */
  address: z.string().min(1).max(64),
  containers: z
    .array(z.object({ name: z.string(), pagePort: z.int().min(1).max(65_535) }))
    .min(1)
    .max(64),
})

/** One ask has one method, so that a retried one can be told from another. */
export const methodOf = ({ what }: LiveAsk): 'POST' | 'PUT' => (what === 'begin' ? 'POST' : 'PUT')

/** What an ask is about: one at a time, a later one takes over. Both levels of a file root write into the same folder. */
export const thingOf = (ask: LiveAsk): string => (ask.what === 'files' ? `files/${ask.root}` : nameOf(ask))

/** What an ask is called among those of its Migration. */
export const nameOf = (ask: LiveAsk): string =>
  ask.what === 'begin' ? 'begin' : ask.what === 'images' ? `images/${ask.container}` : `files/${ask.root}/${ask.level}`

export function livePathOf({ namespace, migrationName, migrationUID }: LiveTarget, ask: LiveAsk): string {
  const query = new URLSearchParams({ namespace, migration: migrationName })
  return `/v1/migrations/${migrationUID}/live/${nameOf(ask)}?${query}`
}

/** @returns undefined when it is no such path or a name is none: names become paths on this node */
export function parseLivePath(path: string): LiveRequest | undefined {
  const [route = '', search = ''] = path.split('?', 2)
  const [, migrationUID = '', rest = ''] = /^\/v1\/migrations\/([^/]+)\/live\/(.+)$/.exec(route) ?? []
  const query = new URLSearchParams(search)
  const [namespace, migrationName] = [query.get('namespace') ?? '', query.get('migration') ?? '']
  const ask = parseAsk(rest)
  const valid = isUID(migrationUID) && isLabel(namespace) && isObjectName(migrationName)
  return valid && ask ? { target: { namespace, migrationName, migrationUID }, ask } : undefined
}

function parseAsk(text: string): LiveAsk | undefined {
  if (text === 'begin') return { what: 'begin' }
  const [what, name = '', level, more] = text.split('/')
  if (more !== undefined) return undefined
  if (what === 'images') return level === undefined && isLabel(name) ? { what, container: name } : undefined
  if (what !== 'files' || !isFileRoot(name) || (level !== '0' && level !== '1')) return undefined
  return { what, root: name, level: level === '0' ? 0 : 1 }
}

/**
 * @param migration as the API server has it now
 * @param peer node of the certificate that the connection was made with
 * @param self node of this agent
 * @returns undefined when what is asked is welcome
 */
export function judgeLive(
  migration: Migration,
  { target, ask }: LiveRequest,
  peer: string,
  self: string,
): Refusal | undefined {
  const { status } = migration
  if (migration.metadata.uid !== target.migrationUID) {
    return refuse(
      404,
      'MigrationNotFound',
      `there is no Migration ${target.migrationName} with UID ${target.migrationUID}`,
    )
  }
  if (status?.mode !== 'Live') return refuse(409, 'OtherMode', `the Migration is in mode ${status?.mode}, not Live`)
  if (status.destination?.node !== self) {
    return refuse(403, 'NotTheDestination', `the destination is node ${status.destination?.node}, this is ${self}`)
  }
  if (status.source?.node !== peer) {
    return refuse(403, 'NotTheSource', `the source is node ${status.source?.node}, this connection comes from ${peer}`)
  }
  const container = containerOf(ask)
  if (container !== undefined && !status.containers?.some(({ name }) => name === container)) {
    return refuse(404, 'ContainerNotFound', `the Migration has no container ${container}`)
  }
  if (truth(status, 'Committed') !== 'Unknown' || isFalse(status, 'Checkpointed')) {
    return refuse(409, 'AlreadyDecided', 'the Migration is decided: nothing is wanted any more')
  }
  if (ask.what === 'files' && ask.level === 0 && isTrue(status, 'Checkpointed')) {
    return refuse(409, 'TooLate', 'the pod stands still: a first copy of its files would undo the second')
  }
  if (!isTrue(status, 'Accepted') || !isTrue(status, 'DestinationReady')) {
    return refuse(409, 'NotReady', 'Accepted and DestinationReady must be True before anything is sent')
  }
  return undefined
}

function containerOf(ask: LiveAsk): string | undefined {
  if (ask.what === 'images') return ask.container
  return ask.what === 'files' && ask.root.startsWith('layer:') ? ask.root.slice('layer:'.length) : undefined
}

const refuse = (status: number, reason: string, message: string): Refusal => ({ status, reason, message })
