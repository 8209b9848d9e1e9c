/** The one call to the local kubelet: checkpoint a container. */
import { readFile } from 'node:fs/promises'
import https from 'node:https'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import type { Logger } from 'pino'
import { z } from 'zod'
import { PodferryError } from '../errors.ts'
import { kubeletError } from './kubelet-errors.ts'

export interface KubeletOptions {
  nodeName: string
  /** Address of the kubelet, usually the node's own. */
  address: string
  /** Default 10250. */
  port?: number
  /** File with the agent's service account token; read at each call, as it is rotated. */
  tokenFile: string
  /** Folder with client.crt and client.key; used in place of the token while both are there. */
  clientCertificates?: string
  /** File with the CA that signed the kubelet's serving certificate. */
  caFile: string
  /** Believe any certificate. Only by explicit choice. */
  insecureTls?: boolean
  log: Logger
}

interface CheckpointRequest {
  namespace: string
  pod: string
  container: string
  /** Deadline of the runtime; the kubelet raises it to its own runtimeRequestTimeout (2 min) when it is lower. */
  timeoutSeconds: number
  signal?: AbortSignal
}

export interface Kubelet {
  /**
   * @returns the archive's absolute path on the node
   * @throws PodferryError with a reason of `kubelet-errors.ts`; `KubeletUnreachable` when no answer came: the dump may go on
   */
  checkpoint(request: CheckpointRequest): Promise<string>
}

const answerSchema = z.object({ items: z.array(z.string().regex(/^\/[^\0]+\.tar$/)).length(1) })

/** The kubelet answers late rather than never; after this much more than the runtime's deadline it is taken for dead. */
const GRACE_MS = 30_000

export function createKubelet(options: KubeletOptions): Kubelet {
  const { nodeName, address, port = 10_250, insecureTls = false, log } = options
  if (insecureTls) {
    log.warn({ node: nodeName }, '--kubelet-insecure-tls: the certificate of the kubelet is not verified')
  }

  const post = async (path: string, timeoutMs: number, signal?: AbortSignal) => {
    const credentials = await readCredentials(options)
    const sent = https.request({
      method: 'POST',
      host: address,
      port,
      path,
      agent: false,
      rejectUnauthorized: !insecureTls,
      // Self-made kubelet certificates name only the host, others only the address: either proves that it is this node.
      checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
        checkServerIdentity(address, certificate) && checkServerIdentity(nodeName, certificate),
      signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs),
      ...credentials,
    })
    const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve).on('error', reject).end()
    })
    return { status: response.statusCode ?? 0, body: await text(response) }
  }

  return {
    async checkpoint({ namespace, pod, container, timeoutSeconds, signal }) {
      const path = `/checkpoint/${[namespace, pod, container].map(encodeURIComponent).join('/')}`
      const request = `POST https://${isIPv6(address) ? `[${address}]` : address}:${port}${path}`
      const answer = await post(`${path}?timeout=${timeoutSeconds}`, timeoutSeconds * 1000 + GRACE_MS, signal).catch(
        (cause) => Promise.reject(cause instanceof PodferryError ? cause : unreachable(request, cause)),
      )
      if (answer.status !== 200) throw kubeletError(request, answer)
      return parseAnswer(request, answer.body)
    },
  }
}

async function readCredentials(options: KubeletOptions): Promise<https.RequestOptions> {
  const { clientCertificates, tokenFile, caFile, insecureTls } = options
  const ca = insecureTls ? {} : { ca: await readNamed(caFile, '--kubelet-ca') }
  if (clientCertificates !== undefined) {
    const [cert, key] = await Promise.all(
      ['client.crt', 'client.key'].map((name) => readFile(join(clientCertificates, name)).catch(() => undefined)),
    )
    if (cert && key) return { ...ca, cert, key }
  }
  const token = await readNamed(tokenFile, 'the service account token')
  return { ...ca, headers: { authorization: `Bearer ${token.toString('utf8').trim()}` } }
}

async function readNamed(path: string, what: string): Promise<Buffer> {
  return await readFile(path).catch((cause) => {
    throw new PodferryError({
      reason: 'KubeletCredentialsMissing',
      message: `${what}: ${path} cannot be read; mount it into the agent's pod`,
      retry: 'afterChange',
      cause,
    })
  })
}

function parseAnswer(request: string, body: string): string {
  let answer: unknown
  try {
    answer = JSON.parse(body)
  } catch {
    answer = undefined
  }
  const parsed = answerSchema.safeParse(answer)
  const path = parsed.data?.items[0]
  if (path === undefined || path.split('/').includes('..')) {
    throw new PodferryError({
      reason: 'UnexpectedKubeletAnswer',
      message: `kubelet: ${request}: no path of an archive in ${JSON.stringify(body.slice(0, 300))}`,
    })
  }
  return path
}

function unreachable(request: string, cause: unknown): PodferryError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  const certificate = /CERT|SIGNATURE|ISSUER|ALTNAME|SELF_SIGNED/.test(code)
  return new PodferryError({
    reason: certificate ? 'KubeletCertificateUntrusted' : 'KubeletUnreachable',
    message: certificate
      ? `kubelet: ${request}: ${why}; give --kubelet-ca the CA of the kubelet's serving certificate (for a self-signed one the node's /var/lib/kubelet/pki/kubelet.crt), or accept any with --kubelet-insecure-tls`
      : `kubelet: ${request}: ${why}; does the kubelet listen on this address and port?`,
    retry: 'backoff',
    cause,
  })
}
