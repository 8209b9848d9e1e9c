/** What a PKCS #10 request asks for, as plain data. */
import 'reflect-metadata'
import { createPublicKey } from 'node:crypto'
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '@peculiar/x509'

export interface ParsedRequest {
  /** Attribute name (`CN`, `O`, or an OID) and value, in order. */
  subject: readonly (readonly [attribute: string, value: string])[]
  dnsNames: readonly string[]
  addresses: readonly string[]
  /** Everything else that is asked for: other kinds of names, other extensions. */
  other: readonly string[]
  /** For instance `ec prime256v1` or `rsa 2048`. */
  keyType: string
  /** DER, SubjectPublicKeyInfo. */
  publicKey: ArrayBuffer
}

const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17'

/**
 * @param pem the request; its signature is checked, so that nobody asks for another's key
 * @throws Error when it is no request or not signed with its own key
 */
export async function parseRequest(pem: string): Promise<ParsedRequest> {
  const request = new Pkcs10CertificateRequest(pem)
  if (!(await request.verify())) throw new Error('the signature of the request is not made with its key')
  const names = request
    .getExtensions(SUBJECT_ALTERNATIVE_NAME)
    .flatMap((extension) => new SubjectAlternativeNameExtension(extension.rawData).names.items)
  const values = (type: string) => names.filter((name) => name.type === type).map(({ value }) => value)
  return {
    subject: request.subjectName
      .toJSON()
      .flatMap((attributes) => Object.entries(attributes).flatMap(([key, list]) => list.map((v) => [key, v] as const))),
    dnsNames: values('dns'),
    addresses: values('ip'),
    other: [
      ...names.filter(({ type }) => type !== 'dns' && type !== 'ip').map(({ type, value }) => `${type} ${value}`),
      ...request.extensions.map(({ type }) => type).filter((type) => type !== SUBJECT_ALTERNATIVE_NAME),
    ],
    keyType: keyTypeOf(request.publicKey.rawData),
    publicKey: request.publicKey.rawData,
  }
}

function keyTypeOf(spki: ArrayBuffer): string {
  const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({
    key: Buffer.from(spki),
    format: 'der',
    type: 'spki',
  })
  return `${asymmetricKeyType} ${asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength ?? ''}`.trim()
}
