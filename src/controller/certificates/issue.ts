/** Making certificates: the authority's own, and those of agents. */
import 'reflect-metadata'
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { commonNameOf, ORGANIZATION, serverNameOf } from '../../agent/peer/names.ts'

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  cert: string
  key: string
}

interface AgentCertificate {
  node: string
  addresses: readonly string[]
  /** DER, SubjectPublicKeyInfo. */
  publicKey: ArrayBuffer
  /** Seconds. */
  life: number
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
/** Nodes' clocks differ a little; what is signed now must be valid everywhere at once. */
const SKEW_MS = 5 * 60_000

/** A self-signed authority that can sign agents' certificates and no other authority. */
export async function makeAuthority(now: Date, lifeMs: number): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const cert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ O: ['podferry'] }, { CN: [`podferry-agent-ca-${randomBytes(4).toString('hex')}`] }],
    notBefore: now,
    notAfter: new Date(now.getTime() + lifeMs),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: cert.toString('pem'), key: await privatePem(keys) }
}

async function privatePem({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey))
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }) as string
}

/** @returns a certificate for a server that is no agent: it names no organization, and can't be a client's */
export async function issueServerCertificate(
  authority: KeyPair,
  names: readonly string[],
  lifeMs: number,
  now: Date,
): Promise<KeyPair> {
  const issuer = new X509Certificate(authority.cert)
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const cert = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [names[0] ?? ''] }],
    issuer: issuer.subjectName.toJSON(),
    notBefore: new Date(now.getTime() - SKEW_MS),
    notAfter: new Date(Math.min(now.getTime() + lifeMs, issuer.notAfter.getTime())),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await signingKey(authority.key),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value }))),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: cert.toString('pem'), key: await privatePem(keys) }
}

/** @returns the agent's certificate as PEM; it never outlives the authority's */
export async function issueAgentCertificate(authority: KeyPair, agent: AgentCertificate, now: Date): Promise<string> {
  const issuer = new X509Certificate(authority.cert)
  const notAfter = Math.min(now.getTime() + agent.life * 1000, issuer.notAfter.getTime())
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ O: [ORGANIZATION] }, { CN: [commonNameOf(agent.node)] }],
    issuer: issuer.subjectName.toJSON(),
    notBefore: new Date(now.getTime() - SKEW_MS),
    notAfter: new Date(notAfter),
    signingAlgorithm: ALGORITHM,
    publicKey: new PublicKey(agent.publicKey),
    signingKey: await signingKey(authority.key),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: serverNameOf(agent.node) },
        ...agent.addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await SubjectKeyIdentifierExtension.create(new PublicKey(agent.publicKey)),
    ],
  })
  return certificate.toString('pem')
}

function signingKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' })
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
}

// RFC 5280: positive, at most 20 bytes.
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}
