/** What the user is told of a dump that failed. */
import { PodferryError } from '../../errors.ts'
import { explainCriu } from '../criu-log.ts'

export interface Failure {
  reason: string
  message: string
  /** CRIU's own lines, if it said something. */
  criuLog: string[]
}

/** Whether a file could not be written because there was no room. */
export const isDiskFull = (error: unknown): boolean => (error as NodeJS.ErrnoException | undefined)?.code === 'ENOSPC'

/** CRIU's own reason where it is known, that of the error otherwise. */
export function failureFrom(error: unknown, criuLog: string[]): Failure {
  const known = error instanceof PodferryError ? error : undefined
  const said = error instanceof Error ? error.message : String(error)
  const explained = explainCriu(criuLog)
  return {
    reason: explained?.reason ?? known?.reason ?? (isDiskFull(error) ? 'DiskFull' : 'CheckpointFailed'),
    message: explained === undefined ? said : `${explained.message}. ${said}`,
    criuLog,
  }
}
