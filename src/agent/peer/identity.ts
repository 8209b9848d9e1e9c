/** This agent's key and certificate: asked for, renewed and read at each new connection. They live in memory only. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import type { Logger } from 'pino'
import { NAMESPACE } from '../../api/names.ts'
import { NODES } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import { backoffMs } from '../../kube/backoff.ts'
import type { KubeClient } from '../../kube/client.ts'
import { type Clock, sleep, systemClock } from '../../kube/clock.ts'
import { CONFIG_MAPS } from './config-map.ts'
import { makeKeyAndRequest } from './key-request.ts'
import { CA_CONFIG_MAP, CA_FILE, commonNameOf, ORGANIZATION, SIGNER_NAME, serverNameOf } from './names.ts'
import { hasCondition, REQUEST_LABELS, SIGNING_REQUESTS, type SigningRequest, USAGES } from './signing-request.ts'

export interface PeerIdentity {
  node: string
  /** PEM, PKCS #8. */
  key: string
  /** PEM. */
  cert: string
  /** PEM, one or more certificates: what other agents' certificates must be signed by. */
  ca: string
}

/** Where servers and clients take the identity from. */
export interface IdentityHolder {
  /** @throws PodferryError `IdentityPending` before the first certificate has come */
  current(): PeerIdentity
  /** Called with every new identity, and at once with the one there is. */
  onChange(listener: (identity: PeerIdentity) => void): void
}

interface IdentityOptions {
  client: KubeClient
  log: Logger
  nodeName: string
  /** UID of this agent's pod: makes the request's name traceable. */
  podUID: string
  clock?: Clock
}

export interface AgentIdentity extends IdentityHolder {
  /** Resolves with the first certificate. */
  ready(): Promise<void>
  /** Keeps the certificate fresh until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

const LIFE_SECONDS = 24 * 3600
const RENEW_AT = 2 / 3
/** The trusted certificates change a few times a year and overlap for days; looking costs one small read. */
const LOOK_MS = 60_000
const ANSWER_MS = 60_000
const BACKOFF = { baseMs: 1_000, maxMs: 60_000 }

/** An identity that never changes, for tools and tests. */
export function fixedIdentity(identity: PeerIdentity): IdentityHolder {
  return { current: () => identity, onChange: (listener) => listener(identity) }
}

/** Needs the rights: get configmaps/podferry-agent-ca, get nodes, create and get certificatesigningrequests. */
export function createAgentIdentity(options: IdentityOptions): AgentIdentity {
  const { client, log, nodeName, podUID, clock = systemClock } = options
  const listeners: ((identity: PeerIdentity) => void)[] = []
  const first = Promise.withResolvers<void>()
  let identity: PeerIdentity | undefined

  const set = (next: PeerIdentity) => {
    if (identity?.cert === next.cert && identity.ca === next.ca) return
    identity = next
    for (const listener of listeners) listener(next)
    first.resolve()
  }

  const readCa = async (signal: AbortSignal) => {
    const { data } = await client.get(CONFIG_MAPS, NAMESPACE, CA_CONFIG_MAP, { signal })
    const ca = data?.[CA_FILE]
    if (ca) return ca
    const message = `ConfigMap ${NAMESPACE}/${CA_CONFIG_MAP} has no ${CA_FILE} yet; the controller writes it: is it running?`
    throw new PodferryError({ reason: 'CaMissing', message, retry: 'backoff' })
  }

  const obtain = async (signal: AbortSignal): Promise<void> => {
    const node = await client.get(NODES, undefined, nodeName, { signal })
    const addresses = node.status?.addresses?.filter(({ type }) => type === 'InternalIP').map((a) => a.address) ?? []
    const { key, request } = await makeKeyAndRequest({
      commonName: commonNameOf(nodeName),
      organization: ORGANIZATION,
      dnsNames: [serverNameOf(nodeName)],
      addresses,
    })
    const name = `podferry-agent-${nodeName.slice(0, 200)}-${podUID.slice(0, 8)}-${randomBytes(4).toString('hex')}`
    const created = await client.create(
      SIGNING_REQUESTS,
      {
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: { name, labels: REQUEST_LABELS },
        spec: {
          request: Buffer.from(request).toString('base64'),
          signerName: SIGNER_NAME,
          usages: USAGES,
          expirationSeconds: LIFE_SECONDS,
        },
      },
      { signal },
    )
    const cert = await answerTo(created, signal)
    const ca = await readCa(signal)
    verify(key, cert, ca)
    set({ node: nodeName, key, cert, ca })
    log.info({ node: nodeName, request: name, until: new X509Certificate(cert).validTo }, 'certificate received')
  }

  const answerTo = async (request: SigningRequest, signal: AbortSignal): Promise<string> => {
    const { name } = request.metadata
    const until = clock.now() + ANSWER_MS
    while (clock.now() < until) {
      await sleep(clock, 250, signal)
      signal.throwIfAborted()
      const seen = await client.get(SIGNING_REQUESTS, undefined, name, { signal })
      if (seen.status?.certificate) return Buffer.from(seen.status.certificate, 'base64').toString('utf8')
      if (!hasCondition(seen, 'Denied') && !hasCondition(seen, 'Failed')) continue
      const why = seen.status?.conditions?.map(({ message }) => message).join('; ')
      throw new PodferryError({
        reason: 'CertificateDenied',
        message: `certificate request ${name} was denied: ${why}`,
      })
    }
    const message = `certificate request ${name} was not answered within ${ANSWER_MS / 1000} s; the controller signs it: is it running?`
    throw new PodferryError({ reason: 'CertificatePending', message, retry: 'backoff' })
  }

  const look = async (signal: AbortSignal): Promise<void> => {
    if (identity === undefined || renewalDue(identity, clock.date())) return await obtain(signal)
    const ca = await readCa(signal)
    if (!isSignedBy(identity.cert, ca)) return await obtain(signal)
    set({ ...identity, ca })
  }

  return {
    current() {
      if (identity) return identity
      const message = `the agent of node ${nodeName} has no certificate yet; its log and the CertificateSigningRequests of signer ${SIGNER_NAME} say why`
      throw new PodferryError({ reason: 'IdentityPending', message, retry: 'backoff' })
    },
    onChange(listener) {
      listeners.push(listener)
      if (identity) listener(identity)
    },
    ready: () => first.promise,
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        try {
          await look(signal)
          failures = 0
        } catch (error) {
          if (signal.aborted) return
          failures++
          log.warn({ err: error, failures }, 'no fresh certificate; trying again')
        }
        await sleep(clock, failures === 0 ? LOOK_MS : backoffMs(BACKOFF, failures, Math.random()), signal)
      }
    },
  }
}

/** True from two thirds of the certificate's life on. */
export function renewalDue({ cert }: Pick<PeerIdentity, 'cert'>, now: Date): boolean {
  const { validFrom, validTo } = new X509Certificate(cert)
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)]
  return now.getTime() >= from + (to - from) * RENEW_AT
}

/** @param ca PEM of one or more certificates */
function isSignedBy(cert: string, ca: string): boolean {
  const leaf = new X509Certificate(cert)
  return splitPem(ca).some((pem) => leaf.verify(new X509Certificate(pem).publicKey))
}

function verify(key: string, cert: string, ca: string): void {
  if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) && isSignedBy(cert, ca)) return
  const message = `the certificate received does not belong to our key or to ConfigMap ${NAMESPACE}/${CA_CONFIG_MAP}; asking again`
  throw new PodferryError({ reason: 'CertificateUnusable', message, retry: 'backoff' })
}

/** @returns each certificate of a bundle */
export const splitPem = (bundle: string): string[] =>
  bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
