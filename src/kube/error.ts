import { PodferryError } from '../errors.ts'

/** One entry of `Status.details.causes`: which field is wrong and why. */
export interface StatusCause {
  field?: string
  reason?: string
  message?: string
}

/** The API server's `metav1.Status`, as far as podferry reads it. */
export interface Status {
  kind: 'Status'
  code?: number
  reason?: string
  message?: string
  details?: { causes?: StatusCause[]; retryAfterSeconds?: number }
}

interface KubeErrorOptions {
  status: number
  reason: string
  message: string
  causes?: readonly StatusCause[]
  cause?: unknown
}

/**
 * A request to the API server that did not succeed.
 * `reason` is the server's own (`NotFound`, `Conflict`, `AlreadyExists`, `Forbidden`, `Invalid`, `Expired` …); `Unreachable`, `Timeout`
 * and `Aborted` are ours. `status` is the HTTP status, 0 when no answer came: a write may then have happened or not.
 */
export class KubeError extends PodferryError {
  readonly status: number
  readonly causes: readonly StatusCause[]

  constructor(options: KubeErrorOptions) {
    super({
      reason: options.reason,
      message: options.message,
      retry: retryClass(options.status),
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    })
    this.name = 'KubeError'
    this.status = options.status
    this.causes = options.causes ?? []
  }
}

/** Turns an answer that is not 2xx into an error that names the request, the server's words and the fields concerned. */
export function errorFromResponse(method: string, path: string, status: number, body: string): KubeError {
  const answer = parseStatus(body)
  const causes = answer?.details?.causes ?? []
  const said = answer?.message ?? body.trim().slice(0, 300)
  return new KubeError({
    status,
    reason: answer?.reason || (reasonOfCode[status] ?? 'UnexpectedAnswer'),
    message: `${method} ${path}: ${said === '' ? `HTTP ${status}` : said}${remedyOfCode[status] ?? ''}`,
    causes,
  })
}

/** Turns the object of a watch's ERROR event into an error. */
export function errorFromStatus(path: string, status: Status): KubeError {
  return errorFromResponse('WATCH', path, status.code ?? 500, JSON.stringify(status))
}

/** True when the object does not exist. */
export function isNotFound(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 404
}

/** True when the caller may not do it. */
export function isForbidden(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 403
}

/** True when somebody else changed the object first, or a precondition did not hold. */
export function isConflict(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 409 && error.reason !== 'AlreadyExists'
}

/** True when an object of that name exists already. */
export function isAlreadyExists(error: unknown): error is KubeError {
  return error instanceof KubeError && error.reason === 'AlreadyExists'
}

/** True when a resourceVersion or continue token is too old: list again. */
export function isExpired(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 410
}

// Status reasons of k8s.io/apimachinery/pkg/apis/meta/v1/types.go, for answers that carry none (proxies, old aggregated servers).
const reasonOfCode: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

const remedyOfCode: Readonly<Record<number, string>> = {
  401: '; check the token or certificate of the kubeconfig user or service account',
  403: '; grant it in the role of this user or service account',
}

function retryClass(status: number): 'never' | 'backoff' | 'afterChange' {
  if (status === 0 || status === 409 || status === 410 || status === 429 || status >= 500) return 'backoff'
  return status >= 400 ? 'afterChange' : 'never'
}

function parseStatus(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body)
    const isStatus = typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status'
    return isStatus ? (value as Status) : undefined
  } catch {
    return undefined
  }
}
