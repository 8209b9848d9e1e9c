/** What another agent's answer, or the lack of one, means. */
import { z } from 'zod'
import { PodferryError } from '../../errors.ts'
import { AGENT_PORT } from './names.ts'
import { UploadRefused } from './refused.ts'

const refusalSchema = z.object({ reason: z.string(), message: z.string() })

export function refusalFrom(status: number, body: string, where: string): PodferryError {
  try {
    const { reason, message } = refusalSchema.parse(JSON.parse(body))
    return new UploadRefused(status, reason, `${where}: ${message}`)
  } catch {
    return new UploadRefused(status, 'UnexpectedAnswer', `${where} answered ${status}: ${body.slice(0, 200)}`)
  }
}

const UNTRUSTED =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_SSL_TLSV1_ALERT|ERR_SSL_TLSV13_ALERT|ERR_SSL_SSLV3_ALERT)/

export function connectionError(cause: unknown, where: string): PodferryError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const why = cause instanceof Error ? cause.message : String(cause)
  if (UNTRUSTED.test(code)) {
    const message = `${where} and this agent do not trust each other's certificates (${why}); both must come from signer podferry.dev/agent, and the clocks must agree`
    return new PodferryError({ reason: 'PeerUntrusted', message, retry: 'backoff', cause })
  }
  const message = `${where} cannot be reached or broke off: ${why}; is the agent running there, and may nodes reach port ${AGENT_PORT}?`
  return new PodferryError({ reason: 'PeerUnreachable', message, retry: 'backoff', cause })
}
