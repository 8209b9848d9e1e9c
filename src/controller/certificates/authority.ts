/** Whose signature agents trust: made once, kept in a Secret, replaced long before it ends. */
import { X509Certificate } from 'node:crypto'
import { CONFIG_MAPS } from '../../agent/peer/config-map.ts'
import { CA_CONFIG_MAP, CA_FILE } from '../../agent/peer/names.ts'
import { NAMESPACE } from '../../api/names.ts'
import type { KubeClient } from '../../kube/client.ts'
import { isAlreadyExists, isConflict, isNotFound } from '../../kube/error.ts'
import type { KubeObject, Resource } from '../../kube/resource.ts'
import type { KeyPair } from './issue.ts'

interface Secret extends KubeObject {
  type?: string
  /** Values in base64. */
  data?: Record<string, string>
}

export const SECRETS: Resource<Secret> = { group: '', version: 'v1', plural: 'secrets', namespaced: true }
export const CA_SECRET = 'podferry-agent-ca-key'

/** All PEM. `next` is trusted but does not sign yet; `previous` does not sign any more but what it signed still lives. */
export interface Authority {
  current: KeyPair
  next?: KeyPair
  previous?: Pick<KeyPair, 'cert'>
}

type Move = 'none' | 'makeCurrent' | 'makeNext' | 'promoteNext' | 'dropPrevious'

const DAY_MS = 24 * 3600_000
export const AUTHORITY_LIFE_MS = 365 * DAY_MS
const ROTATE_AT = 2 / 3
/** Agents look at the ConfigMap each minute; after this long all have seen the next one. */
const ANNOUNCED_MS = 3600_000
/** What the previous one signed lives for a day. */
const OVERLAP_MS = 3 * DAY_MS

/** Pure: the next thing to do about the authority. */
export function planAuthority(authority: Authority | undefined, now: Date): Move {
  if (authority === undefined || ended(authority.current, now)) return 'makeCurrent'
  const { current, next, previous } = authority
  if (next) return age(next, now) >= ANNOUNCED_MS ? 'promoteNext' : 'none'
  if (previous && age(current, now) >= OVERLAP_MS) return 'dropPrevious'
  return age(current, now) >= AUTHORITY_LIFE_MS * ROTATE_AT ? 'makeNext' : 'none'
}

/** Pure: the authority after a move. @param fresh what `makeCurrent` and `makeNext` put in */
function moveAuthority(authority: Authority | undefined, move: Move, fresh: KeyPair | undefined): Authority {
  if (move === 'makeCurrent' && fresh) return { current: fresh }
  if (!authority) throw new Error(`${move} needs an authority`)
  if (move === 'makeNext' && fresh) return { ...authority, next: fresh }
  if (move === 'promoteNext' && authority.next) {
    return { current: authority.next, previous: { cert: authority.current.cert } }
  }
  const { previous, ...rest } = authority
  return move === 'dropPrevious' ? rest : authority
}

/** The certificates that agents are to trust, as one PEM text. */
const bundleOf = ({ current, next, previous }: Authority): string =>
  [current, next, previous].flatMap((one) => (one ? [`${one.cert.trim()}\n`] : [])).join('')

/**
 * Brings the authority to where it must be now, step by step, and publishes it. Two controllers may do it at one time.
 *
 * @returns the authority to sign with
 */
export async function ensureAuthority(client: KubeClient, now: Date): Promise<Authority> {
  for (;;) {
    const secret = await client.get(SECRETS, NAMESPACE, CA_SECRET).catch(orUndefined)
    const authority = secret && fromSecret(secret)
    const move = planAuthority(authority, now)
    // Announced before it signs: trust first, in every order of crashes.
    if (authority) await publish(client, bundleOf(authority))
    if (move === 'none' && authority) return authority
    const makes = move === 'makeCurrent' || move === 'makeNext'
    const { makeAuthority } = await import('./issue.ts')
    const fresh = makes ? await makeAuthority(now, AUTHORITY_LIFE_MS) : undefined
    await store(client, secret, moveAuthority(authority, move, fresh))
  }
}

async function store(client: KubeClient, secret: Secret | undefined, authority: Authority): Promise<void> {
  try {
    const data = toData(authority)
    if (secret) {
      await client.replace(SECRETS, { ...secret, data })
      return
    }
    const metadata = { namespace: NAMESPACE, name: CA_SECRET }
    await client.create(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data })
  } catch (error) {
    // Another controller was faster: its authority is as good, read it.
    if (!isAlreadyExists(error) && !isConflict(error)) throw error
  }
}

async function publish(client: KubeClient, bundle: string): Promise<void> {
  const metadata = { namespace: NAMESPACE, name: CA_CONFIG_MAP }
  const known = await client.get(CONFIG_MAPS, NAMESPACE, CA_CONFIG_MAP).catch(orUndefined)
  if (known?.data?.[CA_FILE] === bundle) return
  const data = { [CA_FILE]: bundle }
  if (known) await client.replace(CONFIG_MAPS, { ...known, data })
  else await client.create(CONFIG_MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data })
}

const encode = (text: string) => Buffer.from(text).toString('base64')

function toData({ current, next, previous }: Authority): Record<string, string> {
  return {
    'current.crt': encode(current.cert),
    'current.key': encode(current.key),
    ...(next ? { 'next.crt': encode(next.cert), 'next.key': encode(next.key) } : {}),
    ...(previous ? { 'previous.crt': encode(previous.cert) } : {}),
  }
}

/** What cannot be read is as good as absent: a new authority is made, and agents ask for new certificates. */
function fromSecret({ data = {} }: Secret): Authority | undefined {
  const text = (name: string) => {
    const value = data[name]
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8')
  }
  const pair = (name: string): KeyPair | undefined => {
    const [cert, key] = [text(`${name}.crt`), text(`${name}.key`)]
    return cert && key && isCertificate(cert) ? { cert, key } : undefined
  }
  const [current, next, previous] = [pair('current'), pair('next'), text('previous.crt')]
  if (!current) return undefined
  return {
    current,
    ...(next ? { next } : {}),
    ...(previous && isCertificate(previous) ? { previous: { cert: previous } } : {}),
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem)
    return true
  } catch {
    return false
  }
}

const age = ({ cert }: Pick<KeyPair, 'cert'>, now: Date) =>
  now.getTime() - new X509Certificate(cert).validFromDate.getTime()
const ended = ({ cert }: Pick<KeyPair, 'cert'>, now: Date) => now >= new X509Certificate(cert).validToDate

function orUndefined(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
