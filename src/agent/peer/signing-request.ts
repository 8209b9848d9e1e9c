/** certificates.k8s.io/v1 CertificateSigningRequest, the fields that agent and signer use. */
import { API_VERSION } from '../../api/names.ts'
import type { KubeObject, Resource } from '../../kube/resource.ts'

interface SigningRequestCondition {
  type: 'Approved' | 'Denied' | 'Failed'
  status: 'True' | 'False' | 'Unknown'
  reason?: string
  message?: string
  lastUpdateTime?: string
}

export interface SigningRequest extends KubeObject {
  spec: {
    /** Base64 of the PEM request. */
    request: string
    signerName: string
    usages: string[]
    expirationSeconds?: number
    /** Who asked; written by the API server. */
    username?: string
    uid?: string
    groups?: string[]
    extra?: Record<string, string[]>
  }
  status?: {
    conditions?: SigningRequestCondition[]
    /** Base64 of the PEM certificate. */
    certificate?: string
  }
}

export const SIGNING_REQUESTS: Resource<SigningRequest> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
  namespaced: false,
}

/** What an agent's certificate is for, in the words of the API. */
export const USAGES = ['client auth', 'digital signature', 'server auth']

/** Marks what belongs to us among the cluster's requests; gives no right. */
export const REQUEST_LABELS = {
  'app.kubernetes.io/managed-by': 'podferry',
  'podferry.dev/api': API_VERSION.replace('/', '-'),
}

export const hasCondition = (request: SigningRequest, type: SigningRequestCondition['type']): boolean =>
  request.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
