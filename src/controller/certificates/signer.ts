/** The signer `podferry.dev/agent`: judges agents' certificate requests, answers them and clears old ones away. Leader only. */
import type { Logger } from 'pino'
import { SIGNER_NAME } from '../../agent/peer/names.ts'
import { hasCondition, SIGNING_REQUESTS, type SigningRequest } from '../../agent/peer/signing-request.ts'
import { NAMESPACE } from '../../api/names.ts'
import { NODES, PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { sleep, systemClock } from '../../kube/clock.ts'
import { isConflict, isNotFound } from '../../kube/error.ts'
import { createInformer } from '../../kube/informer.ts'
import { WorkQueue } from '../../kube/queue.ts'
import { type KubeObject, objectPath, type Resource } from '../../kube/resource.ts'
import { type Authority, ensureAuthority } from './authority.ts'
import { claimedNode, claimedPod, judgeRequest, type Verdict } from './judge.ts'
import type { ParsedRequest } from './request.ts'

interface SignerContext {
  client: KubeClient
  log: Logger
  /** Asked right before each effect: a controller that lost its lease must not act any more. */
  mayAct(): boolean
  now?: () => Date
}

export interface CertificateSigner {
  /** Works until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

const LIFE_SECONDS = 24 * 3600
/** Answered requests are of interest to people for a while. */
const KEEP_MS = 3600_000
const AUTHORITY_LOOK_MS = 10 * 60_000
const RETRY_MS = 5_000
const SOON_MS = 100

export function createCertificateSigner({
  client,
  log,
  mayAct,
  now = () => new Date(),
}: SignerContext): CertificateSigner {
  let authority: Authority | undefined

  const handle = async (name: string): Promise<number | undefined> => {
    const request = await client.get(SIGNING_REQUESTS, undefined, name).catch(orUndefined)
    if (!request || request.spec.signerName !== SIGNER_NAME || !mayAct()) return undefined
    if (isAnswered(request)) return await clearAway(request)
    if (!authority) return RETRY_MS
    try {
      await answer(request, authority)
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error
    }
    return SOON_MS
  }

  const answer = async (request: SigningRequest, { current }: Authority): Promise<void> => {
    const { name } = request.metadata
    const { verdict, parsed } = await judge(request)
    if (!verdict.approve || !parsed) {
      log.warn({ request: name, verdict, username: request.spec.username }, 'certificate refused')
      return await refuse(request, verdict)
    }
    const approved = hasCondition(request, 'Approved') ? request : await decide(request, 'Approved', APPROVAL)
    const { issueAgentCertificate } = await import('./issue.ts')
    const life = Math.min(request.spec.expirationSeconds ?? LIFE_SECONDS, LIFE_SECONDS)
    const subject = { node: verdict.node, addresses: verdict.addresses, publicKey: parsed.publicKey, life }
    const certificate = Buffer.from(await issueAgentCertificate(current, subject, now())).toString('base64')
    if (!mayAct()) return
    await client.replaceStatus(SIGNING_REQUESTS, { ...approved, status: { ...approved.status, certificate } })
    log.info({ request: name, node: verdict.node }, 'certificate signed')
  }

  const judge = async (request: SigningRequest): Promise<{ verdict: Verdict; parsed?: ParsedRequest }> => {
    const { parseRequest } = await import('./request.ts')
    let parsed: ParsedRequest
    try {
      parsed = await parseRequest(Buffer.from(request.spec.request, 'base64').toString('utf8'))
    } catch (error) {
      const message = `spec.request is no usable PKCS #10 request: ${error instanceof Error ? error.message : error}`
      return { verdict: { approve: false, reason: 'Malformed', message } }
    }
    const [pod, node] = await Promise.all([
      find(PODS, NAMESPACE, claimedPod(request)),
      find(NODES, undefined, claimedNode(request)),
    ])
    return { verdict: judgeRequest(request, parsed, { pod, node }), parsed }
  }

  const find = async <T extends KubeObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string | undefined,
  ) => (name === undefined ? undefined : await client.get(resource, namespace, name).catch(orUndefined))

  /** One whom a person has approved by hand cannot be denied any more; it fails instead and gets no certificate either. */
  const refuse = async (request: SigningRequest, verdict: Verdict): Promise<void> => {
    const { reason, message } = verdict.approve ? APPROVAL : verdict
    if (!hasCondition(request, 'Approved')) {
      await decide(request, 'Denied', { reason, message })
      return
    }
    const conditions = [...(request.status?.conditions ?? []), entry('Failed', { reason, message })]
    if (mayAct())
      await client.replaceStatus(SIGNING_REQUESTS, { ...request, status: { ...request.status, conditions } })
  }

  const decide = async (request: SigningRequest, type: 'Approved' | 'Denied', why: Why): Promise<SigningRequest> => {
    if (!mayAct()) return request
    const conditions = [...(request.status?.conditions ?? []), entry(type, why)]
    const path = objectPath(SIGNING_REQUESTS, undefined, request.metadata.name, 'approval')
    const body = { ...request, status: { ...request.status, conditions } }
    return JSON.parse(await client.request({ method: 'PUT', path, body })) as SigningRequest
  }

  const entry = (type: 'Approved' | 'Denied' | 'Failed', { reason, message }: Why) => ({
    type,
    status: 'True' as const,
    reason,
    message,
    lastUpdateTime: now()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z'),
  })

  const clearAway = async ({ metadata }: SigningRequest): Promise<number | undefined> => {
    const leftMs = Date.parse(metadata.creationTimestamp ?? '') + KEEP_MS - now().getTime()
    if (leftMs > 0) return leftMs
    const preconditions = metadata.uid === undefined ? {} : { uid: metadata.uid }
    await client.delete(SIGNING_REQUESTS, undefined, metadata.name, { preconditions }).catch(orUndefined)
    return undefined
  }

  const keepAuthority = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        if (mayAct()) authority = await ensureAuthority(client, now())
      } catch (error) {
        log.warn({ err: error }, 'the certificate authority of the agents is not ready; trying again')
      }
      await sleep(systemClock, authority ? AUTHORITY_LOOK_MS : RETRY_MS, signal)
    }
  }

  return {
    async run(signal) {
      const fieldSelector = `spec.signerName=${SIGNER_NAME}`
      const informer = createInformer({ client, resource: SIGNING_REQUESTS, log, fieldSelector })
      const queue = new WorkQueue({
        process: handle,
        onError: (name, err, failures) =>
          log.warn({ request: name, err, failures }, 'certificate request not answered'),
      })
      const wake = (request: SigningRequest) => queue.add(request.metadata.name)
      const keeping = keepAuthority(signal)
      informer.addHandler({ add: wake, update: wake })
      informer.start()
      await keeping
      await Promise.all([informer.close(), queue.stop()])
    },
  }
}

interface Why {
  reason: string
  message: string
}

const APPROVAL: Why = { reason: 'AgentOfItsNode', message: 'asked by the agent that runs on this node' }

const isAnswered = (request: SigningRequest): boolean =>
  request.status?.certificate !== undefined || hasCondition(request, 'Denied') || hasCondition(request, 'Failed')

function orUndefined(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
