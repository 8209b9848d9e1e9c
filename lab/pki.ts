/** The lab's certificate authority, certificates, service-account keys and kubeconfigs. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { API_SERVER, GATEWAY, NODES, nodeAddress, STATE } from './places.ts'

const PKI = join(STATE, 'pki')
const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const
const YEARS_10 = 10 * 365 * 24 * 3600 * 1000

export interface CertificatePlan {
  file: string
  subject: string
  /** Subject alternative names. */
  names: { type: 'ip' | 'dns'; value: string }[]
}

const ip = (value: string) => ({ type: 'ip', value }) as const
const dns = (value: string) => ({ type: 'dns', value }) as const

/** Every leaf certificate of the lab. Node certificates name node and address: the kubelet's HTTPS is verified by them. */
export function certificatePlan(): CertificatePlan[] {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost']
  return [
    {
      file: 'server',
      subject: 'CN=kube-apiserver',
      names: [ip(GATEWAY), ip('10.96.0.1'), ip('127.0.0.1'), ...service.map(dns)],
    },
    { file: 'kubelet-client', subject: 'O=kubeadm:cluster-admins, CN=kube-apiserver-kubelet-client', names: [] },
    { file: 'admin', subject: 'O=system:masters, CN=admin', names: [] },
    { file: 'kube-controller-manager', subject: 'CN=system:kube-controller-manager', names: [] },
    { file: 'kube-scheduler', subject: 'CN=system:kube-scheduler', names: [] },
    { file: 'kube-proxy', subject: 'CN=system:kube-proxy', names: [] },
    ...NODES.map((node) => ({
      file: node,
      subject: `O=system:nodes, CN=system:node:${node}`,
      names: [dns(node), ip(nodeAddress(node))],
    })),
  ]
}

/** @returns a kubeconfig with everything embedded. */
export function kubeconfig(files: { ca: string; certificate: string; key: string }): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'lab', cluster: { server: API_SERVER, 'certificate-authority-data': base64(files.ca) } }],
      users: [
        {
          name: 'lab',
          user: { 'client-certificate-data': base64(files.certificate), 'client-key-data': base64(files.key) },
        },
      ],
      contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
      'current-context': 'lab',
    },
    null,
    2,
  )}\n`
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

/** Makes the whole set beside its place and renames it, so that a killed `up` never leaves half of it. */
export async function ensurePki(): Promise<void> {
  if (existsSync(PKI)) return
  x509.cryptoProvider.set(webcrypto)
  const beside = `${PKI}.partial`
  await rm(beside, { recursive: true, force: true })
  await mkdir(beside, { recursive: true, mode: 0o700 })
  const put = (name: string, text: string) => writeFile(join(beside, name), `${text.trimEnd()}\n`, { mode: 0o600 })
  // One hour back: machines whose clocks differ a little must not see a certificate of the future.
  const validity = { notBefore: new Date(Date.now() - 3600_000), notAfter: new Date(Date.now() + YEARS_10) }

  const caKeys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=podferry-lab',
    ...validity,
    signingAlgorithm: SIGNING,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  })
  await put('ca.crt', ca.toString('pem'))
  await put('ca.key', await privateKeyPem(caKeys.privateKey))

  let serial = 1
  for (const plan of certificatePlan()) {
    serial += 1
    const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial.toString(16).padStart(2, '0'),
      subject: plan.subject,
      issuer: ca.subject,
      ...validity,
      signingAlgorithm: SIGNING,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
        ...(plan.names.length > 0 ? [new x509.SubjectAlternativeNameExtension([...plan.names])] : []),
      ],
    })
    await put(`${plan.file}.crt`, certificate.toString('pem'))
    await put(`${plan.file}.key`, await privateKeyPem(keys.privateKey))
  }

  const tokens = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
  await put('service-account.key', await privateKeyPem(tokens.privateKey))
  await put(
    'service-account.pub',
    x509.PemConverter.encode(await webcrypto.subtle.exportKey('spki', tokens.publicKey), 'PUBLIC KEY'),
  )
  await rename(beside, PKI)
}

/** @param name file in the set, such as `ca.crt` or `node-1.key`. */
export function readPki(name: string): Promise<string> {
  return readFile(join(PKI, name), 'utf8')
}

/** @param user a planned certificate's file name. */
export async function kubeconfigFor(user: string): Promise<string> {
  const [ca, certificate, key] = await Promise.all([readPki('ca.crt'), readPki(`${user}.crt`), readPki(`${user}.key`)])
  return kubeconfig({ ca, certificate, key })
}
