/** Names that both ends of a connection between agents, and the signer in between, must agree on. */
import { GROUP, NAMESPACE } from '../../api/names.ts'

/** Every agent's HTTPS server. */
export const AGENT_PORT = 5578
export const SIGNER_NAME = `${GROUP}/agent`
export const ORGANIZATION = 'podferry:agents'
/** How the API server knows an agent. */
export const AGENT_USERNAME = `system:serviceaccount:${NAMESPACE}:podferry-agent`
/** ConfigMap in our own namespace with the certificates that agents trust. */
export const CA_CONFIG_MAP = 'podferry-agent-ca'
export const CA_FILE = 'ca.crt'

const COMMON_NAME_PREFIX = 'podferry:agent:'

export const commonNameOf = (node: string): string => `${COMMON_NAME_PREFIX}${node}`

/** The name by which TLS pins a node: no DNS server ever sees it. */
export const serverNameOf = (node: string): string => `${node}.agents.${GROUP}`

/** @returns the node that a common name speaks of, or undefined when it is not of ours */
export function nodeOfCommonName(commonName: string): string | undefined {
  const node = commonName.startsWith(COMMON_NAME_PREFIX) ? commonName.slice(COMMON_NAME_PREFIX.length) : ''
  return isObjectName(node) ? node : undefined
}

/** RFC 1123 subdomain, the form of pod, node and Migration names. */
export const isObjectName = (text: string): boolean =>
  text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text)

/** RFC 1123 label, the form of namespace and container names. */
export const isLabel = (text: string): boolean => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)

/** What the API server gives every object. */
export const isUID = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
