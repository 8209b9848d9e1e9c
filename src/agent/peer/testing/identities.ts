/** Real identities for tests, made by the code that the controller and the agents use. */
import { issueAgentCertificate, type KeyPair } from '../../../controller/certificates/issue.ts'
import { parseRequest } from '../../../controller/certificates/request.ts'
import type { PeerIdentity } from '../identity.ts'
import { makeKeyAndRequest } from '../key-request.ts'
import { commonNameOf, ORGANIZATION, serverNameOf } from '../names.ts'

interface Wish {
  authority: KeyPair
  node: string
  /** When it was signed. Default now. */
  at?: Date
  /** What this side trusts. Default the authority. */
  ca?: string
}

/** @returns an identity whose certificate lives for an hour */
export async function makeIdentity({
  authority,
  node,
  at = new Date(),
  ca = authority.cert,
}: Wish): Promise<PeerIdentity> {
  const subject = { commonName: commonNameOf(node), organization: ORGANIZATION, dnsNames: [serverNameOf(node)] }
  const { key, request } = await makeKeyAndRequest({ ...subject, addresses: [] })
  const { publicKey } = await parseRequest(request)
  const cert = await issueAgentCertificate(authority, { node, addresses: [], publicKey, life: 3600 }, at)
  return { node, key, cert, ca }
}
