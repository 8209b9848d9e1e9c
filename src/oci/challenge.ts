/** Answers to a registry's `WWW-Authenticate` challenge: Basic, or a Bearer token from its token service. */
import { z } from 'zod'
import { PodferryError } from '../errors.ts'
import { type RegistryAnswer, type RegistryTarget, registryOrigin, send } from './http.ts'

/** The token specification of distribution allows either name. */
const tokenSchema = z.union([
  z.object({ token: z.string().min(1) }).transform(({ token }) => token),
  z.object({ access_token: z.string().min(1) }).transform(({ access_token }) => access_token),
])

/** @returns the scheme and parameters of a challenge, or undefined when there is none. Pure. */
export function parseChallenge(
  header: string | undefined,
): { scheme: string; parameters: Map<string, string> } | undefined {
  const [, scheme, rest] = /^\s*(\w+)\s*(.*)$/s.exec(header ?? '') ?? []
  if (!scheme) return undefined
  const parameters = new Map<string, string>()
  for (const [, key = '', quoted, bare] of (rest ?? '').matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]+))/g)) {
    parameters.set(key.toLowerCase(), quoted ?? bare ?? '')
  }
  return { scheme: scheme.toLowerCase(), parameters }
}

const basic = ({ username, password }: NonNullable<RegistryTarget['auth']>) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

/**
 * @returns the Authorization header that answers the challenge, or undefined when nothing can
 * @throws PodferryError `InsecureRegistry` when the password would go out in clear text, `RegistryForbids` when no token is given
 */
export async function authorize(target: RegistryTarget, challenge: string | undefined): Promise<string | undefined> {
  const asked = parseChallenge(challenge)
  if (asked?.scheme === 'basic') return target.auth && basic(target.auth)
  const realm = asked?.parameters.get('realm')
  if (asked?.scheme !== 'bearer' || realm === undefined) return undefined
  const url = registryOrigin({ url: realm })
  for (const name of ['service', 'scope']) {
    const value = asked.parameters.get(name)
    if (value !== undefined) url.searchParams.set(name, value)
  }
  const headers = target.auth ? { authorization: basic(target.auth) } : {}
  const answer = await send(target, { method: 'GET', url, headers })
  return `Bearer ${tokenOf(answer, url)}`
}

function tokenOf({ status, body }: RegistryAnswer, { origin, pathname }: URL): string {
  const text = body.toString()
  const token = status === 200 ? tokenSchema.safeParse(parse(text)).data : undefined
  if (token !== undefined) return token
  // An answer of 200 may hold a secret: it is not repeated.
  const said = status === 200 ? 'no token' : text.trim().slice(0, 300)
  throw new PodferryError({
    reason: 'RegistryForbids',
    message: `token service ${origin}${pathname} answered ${status}: ${said}; check the registry's user name and password`,
    retry: status >= 500 || status === 429 ? 'backoff' : 'afterChange',
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
