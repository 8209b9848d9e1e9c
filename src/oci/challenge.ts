/** Answers to a registry's `WWW-Authenticate` challenge: Basic, or a Bearer token from its token service. */
import { type RegistryTarget, send } from './http.ts'

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

/** @returns the Authorization header that answers the challenge, or undefined when nothing can */
export async function authorize(target: RegistryTarget, challenge: string | undefined): Promise<string | undefined> {
  const asked = parseChallenge(challenge)
  if (asked?.scheme === 'basic') return target.auth && basic(target.auth)
  const realm = asked?.parameters.get('realm')
  if (asked?.scheme !== 'bearer' || realm === undefined) return undefined
  const url = new URL(realm)
  for (const name of ['service', 'scope']) {
    const value = asked.parameters.get(name)
    if (value !== undefined) url.searchParams.set(name, value)
  }
  const headers = target.auth ? { authorization: basic(target.auth) } : {}
  const answer = await send(target, { method: 'GET', url, headers })
  if (answer.status !== 200) return undefined
  const { token, access_token } = JSON.parse(answer.body.toString()) as { token?: string; access_token?: string }
  return `Bearer ${token ?? access_token ?? ''}`
}
