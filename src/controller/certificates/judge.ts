/** Who gets a certificate: an agent, for the node on which its own pod runs, and for nothing else. */
import {
  AGENT_USERNAME,
  commonNameOf,
  nodeOfCommonName,
  ORGANIZATION,
  SIGNER_NAME,
  serverNameOf,
} from '../../agent/peer/names.ts'
import { type SigningRequest, USAGES } from '../../agent/peer/signing-request.ts'
import { NAMESPACE } from '../../api/names.ts'
import type { Node, Pod } from '../../api/pod.ts'
import { sameAddress } from './address.ts'
import type { ParsedRequest } from './request.ts'

/** What the API server knows of those whom the request names; read after the request was made. */
export interface Witnesses {
  pod: Pod | undefined
  node: Node | undefined
}

export type Verdict =
  | { approve: true; node: string; addresses: readonly string[] }
  | { approve: false; reason: string; message: string }

/** Written by the API server into requests made with a token that is bound to a pod. */
const NODE_NAME = 'authentication.kubernetes.io/node-name'
const POD_NAME = 'authentication.kubernetes.io/pod-name'
const POD_UID = 'authentication.kubernetes.io/pod-uid'

const KEY_TYPES = ['ec prime256v1', 'ec secp384r1']

/** @returns the one value of an extra field of the requester, or undefined when there is none or several */
function claim({ spec }: SigningRequest, key: string): string | undefined {
  const values = spec.extra?.[key] ?? []
  return values.length === 1 ? values[0] : undefined
}

/** The pod and node to look up before judging; undefined when the requester's token names none. */
export const claimedPod = (request: SigningRequest): string | undefined => claim(request, POD_NAME)
export const claimedNode = (request: SigningRequest): string | undefined => claim(request, NODE_NAME)

/** Pure: every reason is checked against what the API server itself says, never against what the request says of itself. */
export function judgeRequest(request: SigningRequest, parsed: ParsedRequest, { pod, node }: Witnesses): Verdict {
  const { spec } = request
  const name = claimedNode(request)
  if (spec.signerName !== SIGNER_NAME) return deny('WrongSigner', `signer ${spec.signerName} is not ours`)
  if (spec.username !== AGENT_USERNAME) {
    return deny('NotAnAgent', `${spec.username} is not the agent's service account ${AGENT_USERNAME}`)
  }
  if (name === undefined) {
    const remedy = 'use a projected service account token (Kubernetes 1.30 or newer)'
    return deny(
      'TokenNotBound',
      `the requester's token is not bound to a pod on a node: spec.extra lacks ${NODE_NAME}; ${remedy}`,
    )
  }
  const podName = claimedPod(request)
  const uid = claim(request, POD_UID)
  if (!pod || uid === undefined || pod.metadata.name !== podName || pod.metadata.uid !== uid) {
    return deny('PodUnknown', `there is no pod ${NAMESPACE}/${podName} with UID ${uid}`)
  }
  if (pod.metadata.namespace !== NAMESPACE || pod.spec.nodeName !== name) {
    return deny('PodElsewhere', `pod ${podName} runs on node ${pod.spec.nodeName}, not on ${name}`)
  }
  if (!node || node.metadata.name !== name) return deny('NodeUnknown', `there is no node ${name}`)
  return judgeContents(request, parsed, node)
}

function judgeContents({ spec }: SigningRequest, parsed: ParsedRequest, node: Node): Verdict {
  const { name } = node.metadata
  const subject = parsed.subject.map(([key, value]) => `${key}=${value}`).sort()
  const expected = [`CN=${commonNameOf(name)}`, `O=${ORGANIZATION}`]
  if (subject.join() !== expected.join()) {
    const about = nodeOfCommonName(parsed.subject.find(([key]) => key === 'CN')?.[1] ?? '')
    if (about !== undefined && about !== name)
      return deny('OtherNode', `an agent on node ${name} asks for node ${about}`)
    return deny('WrongSubject', `the subject must be exactly ${expected.join(', ')}, not ${subject.join(', ')}`)
  }
  if (parsed.dnsNames.length !== 1 || parsed.dnsNames[0] !== serverNameOf(name)) {
    return deny('WrongNames', `the only DNS name must be ${serverNameOf(name)}, not ${parsed.dnsNames.join(', ')}`)
  }
  const known = node.status?.addresses?.map(({ address }) => address) ?? []
  const foreign = parsed.addresses.filter((address) => !known.some((own) => sameAddress(own, address)))
  if (foreign.length > 0) return deny('WrongAddresses', `node ${name} does not have the address ${foreign.join(', ')}`)
  if (parsed.other.length > 0) return deny('TooMuchAsked', `the request asks for more: ${parsed.other.join(', ')}`)
  if (!KEY_TYPES.includes(parsed.keyType)) {
    return deny('WrongKey', `the key is ${parsed.keyType}; allowed are ${KEY_TYPES.join(', ')}`)
  }
  if ([...spec.usages].sort().join() !== USAGES.join()) {
    return deny('WrongUsages', `the usages must be exactly ${USAGES.join(', ')}, not ${spec.usages.join(', ')}`)
  }
  return { approve: true, node: name, addresses: parsed.addresses }
}

const deny = (reason: string, message: string): Verdict => ({ approve: false, reason, message })
