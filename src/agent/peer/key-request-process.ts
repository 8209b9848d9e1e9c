/** The process of key-request.ts: a subject comes in as JSON, key and request go out. */
import 'reflect-metadata'
import { json } from 'node:stream/consumers'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'
import type { KeyAndRequest, Subject } from './key-request.ts'

const { commonName, organization, dnsNames, addresses } = (await json(process.stdin)) as Subject
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
const request = await Pkcs10CertificateRequestGenerator.create({
  name: [{ O: [organization] }, { CN: [commonName] }],
  keys,
  signingAlgorithm: algorithm,
  extensions: [
    new SubjectAlternativeNameExtension([
      ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
      ...addresses.map((value) => ({ type: 'ip' as const, value })),
    ]),
  ],
})
const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
const answer: KeyAndRequest = {
  key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
  request: request.toString('pem'),
}
process.stdout.write(JSON.stringify(answer))
