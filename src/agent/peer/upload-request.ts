/** What an agent asks of another, and whether it may. Pure. */
import { isFalse, isTrue, truth } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { awaitsReturn } from '../../api/recreated.ts'
import { isLabel, isObjectName, isUID } from './names.ts'

/** `PUT /v1/migrations/<uid>/containers/<name>/archive?namespace=…&migration=…` */
export interface UploadTarget {
  namespace: string
  migrationName: string
  migrationUID: string
  container: string
}

export interface Refusal {
  status: number
  reason: string
  message: string
}

export function pathOf({ namespace, migrationName, migrationUID, container }: UploadTarget): string {
  const query = new URLSearchParams({ namespace, migration: migrationName })
  return `/v1/migrations/${migrationUID}/containers/${container}/archive?${query}`
}

/** @returns undefined when it is not the path of an upload or a name is none: names become paths in the registry */
export function parsePath(path: string): UploadTarget | undefined {
  const [route = '', search = ''] = path.split('?', 2)
  const [, migrationUID = '', container = ''] =
    /^\/v1\/migrations\/([^/]+)\/containers\/([^/]+)\/archive$/.exec(route) ?? []
  const query = new URLSearchParams(search)
  const [namespace, migrationName] = [query.get('namespace') ?? '', query.get('migration') ?? '']
  const valid = isUID(migrationUID) && isLabel(container) && isLabel(namespace) && isObjectName(migrationName)
  return valid ? { namespace, migrationName, migrationUID, container } : undefined
}

/**
 * @param migration as the API server has it now
 * @param peer node of the certificate that the connection was made with
 * @param self node of this agent
 * @returns undefined when the archive is welcome
 */
export function judgeUpload(
  migration: Migration,
  target: UploadTarget,
  peer: string,
  self: string,
): Refusal | undefined {
  if (migration.metadata.uid !== target.migrationUID) {
    return refuse(
      404,
      'MigrationNotFound',
      `there is no Migration ${target.migrationName} with UID ${target.migrationUID}`,
    )
  }
  const { status } = migration
  if (status?.destination?.node !== self) {
    return refuse(403, 'NotTheDestination', `the destination is node ${status?.destination?.node}, this is ${self}`)
  }
  if (status.source?.node !== peer) {
    return refuse(403, 'NotTheSource', `the source is node ${status.source?.node}, this connection comes from ${peer}`)
  }
  if (!status.containers?.some(({ name }) => name === target.container)) {
    return refuse(404, 'ContainerNotFound', `the Migration has no container ${target.container}`)
  }
  if ((truth(status, 'Committed') !== 'Unknown' && !awaitsReturn(status)) || isFalse(status, 'Checkpointed')) {
    return refuse(409, 'AlreadyDecided', 'the Migration is decided: no archive is wanted any more')
  }
  if (!isTrue(status, 'Accepted') || !isTrue(status, 'DestinationReady')) {
    return refuse(409, 'NotReady', 'Accepted and DestinationReady must be True before an archive is sent')
  }
  return undefined
}

const refuse = (status: number, reason: string, message: string): Refusal => ({ status, reason, message })
