import { PodferryError } from '../../errors.ts'

/** An upload that one agent does not take from another, with the HTTP status that says so. */
export class UploadRefused extends PodferryError {
  readonly status: number

  constructor(status: number, reason: string, message: string) {
    super({ reason, message, retry: status >= 500 ? 'backoff' : 'afterChange' })
    this.name = 'UploadRefused'
    this.status = status
  }
}
