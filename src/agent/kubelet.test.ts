import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { pino } from 'pino'
import { createKubelet, type KubeletOptions } from './kubelet.ts'
import { kubeletError } from './kubelet-errors.ts'

const FAILED = 'checkpointing of ns/pod/ctr failed '
const RPC = `${FAILED}(rpc error: code = Unknown desc = `

const table: readonly (readonly [number, string, string])[] = [
  [401, 'Unauthorized', 'KubeletUnauthorized'],
  [403, 'Forbidden (user=U, verb=create, resource=nodes, subresource(s)=[checkpoint])', 'KubeletForbidden'],
  [500, 'Authorization error (user=U, verb=create, resource=nodes)', 'KubeletAuthorizationFailed'],
  [404, 'pod does not exist', 'PodNotOnNode'],
  [404, 'container ctr does not exist', 'ContainerNotFound'],
  [404, '404 page not found', 'CheckpointApiMissing'],
  [500, `${FAILED}(container ctr not found)`, 'ContainerNotRunning'],
  [
    500,
    `${FAILED}(rpc error: code = Unimplemented desc = unknown method CheckpointContainer for service runtime.v1.RuntimeService)`,
    'RuntimeCannotCheckpoint',
  ],
  [500, `${RPC}method CheckpointContainer not implemented)`, 'RuntimeCannotCheckpoint'],
  [500, `${RPC}checkpoint/restore support not available)`, 'CriuDisabled'],
  [500, `${RPC}criu support is disabled by configuration)`, 'CriuDisabled'],
  [500, `${RPC}CRIU binary not found or too old (<31600). Failed to checkpoint container "x")`, 'CriuMissing'],
  [500, `${RPC}criu binary not found in shim path or system PATH)`, 'CriuMissing'],
  [500, `${RPC}checkpoint/restore requires at least CRIU 31600)`, 'CriuMissing'],
  [
    500,
    `${RPC}container "x" is in CONTAINER_EXITED state. only CONTAINER_RUNNING containers can be checkpointed)`,
    'ContainerNotRunning',
  ],
  [500, `${RPC}write /var/lib/x: no space left on device)`, 'DiskFull'],
  [500, `${FAILED}(rpc error: code = DeadlineExceeded desc = context deadline exceeded)`, 'CheckpointTimedOut'],
  [
    500,
    `${RPC}checkpointing container "x" failed: runc did not terminate successfully: exit status 1: criu failed: type NOTIFY errno 0 path= /run/x/criu-dump.log)`,
    'CriuFailed',
  ],
  [500, 'something nobody has seen', 'CheckpointFailed'],
]

for (const [status, body, reason] of table) {
  test(`${status} ${body.slice(0, 110)}: ${reason}`, () => {
    const error = kubeletError('POST /x', { status, body })
    assert.equal(error.reason, reason)
    assert.ok(error.message.includes(body), "the kubelet's own words are kept")
  })
}

let folder: string
let server: https.Server
let port: number
let answer: { status: number; body: string }
const seen: { url?: string; authorization?: string; peer?: string }[] = []

/** A certificate that names only the host, as kubelet makes one for itself. */
function selfSigned(name: string, subject: string) {
  const files = ['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)]
  const what = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const names = ['-subj', `/CN=${subject}`, '-addext', `subjectAltName=DNS:${subject}`]
  execFileSync('openssl', ['req', '-x509', ...what, ...names, ...files], { stdio: 'ignore' })
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podferry-kubelet-'))
  selfSigned('server', 'node-1')
  selfSigned('other', 'node-1')
  await mkdir(join(folder, 'certs'))
  selfSigned('certs/client', 'an-admin')
  await writeFile(join(folder, 'token'), 'first\n')
  const [key, cert, ca] = await Promise.all(
    ['server.key', 'server.crt', 'certs/client.crt'].map((name) => readFile(join(folder, name))),
  )
  server = https.createServer({ key, cert, ca, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const { authorization } = request.headers
    const peer = (request.socket as TLSSocket).getPeerCertificate().subject?.CN
    seen.push({
      ...(request.url === undefined ? {} : { url: request.url }),
      ...(authorization === undefined ? {} : { authorization }),
      ...(typeof peer === 'string' ? { peer } : {}),
    })
    response.writeHead(answer.status).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
after(async () => {
  server.close()
  await rm(folder, { recursive: true })
})

const kubelet = (options: Partial<KubeletOptions> = {}) =>
  createKubelet({
    nodeName: 'node-1',
    address: '127.0.0.1',
    port,
    tokenFile: join(folder, 'token'),
    caFile: join(folder, 'server.crt'),
    log: pino({ level: 'silent' }),
    ...options,
  })
const call = { namespace: 'ns', pod: 'a.pod', container: 'ctr', timeoutSeconds: 60 }
const good = {
  status: 200,
  body: '{"items":["/var/lib/kubelet/checkpoints/checkpoint-a.pod_ns-ctr-2026-01-01T00:00:00+08:00.tar"]}',
}

test('asks with the token of the moment and gives back the path', async () => {
  answer = good
  const path = await kubelet().checkpoint(call)
  assert.equal(path, '/var/lib/kubelet/checkpoints/checkpoint-a.pod_ns-ctr-2026-01-01T00:00:00+08:00.tar')
  assert.deepEqual(seen.at(-1), { url: '/checkpoint/ns/a.pod/ctr?timeout=60', authorization: 'Bearer first' })
  await writeFile(join(folder, 'token'), 'second\n')
  await kubelet().checkpoint(call)
  assert.equal(seen.at(-1)?.authorization, 'Bearer second')
})

test('asks with the client certificate when there is one, and then without the token', async () => {
  answer = good
  await kubelet({ clientCertificates: join(folder, 'certs') }).checkpoint(call)
  assert.deepEqual(seen.at(-1), { url: '/checkpoint/ns/a.pod/ctr?timeout=60', peer: 'an-admin' })
  await kubelet({ clientCertificates: join(folder, 'nothing-here') }).checkpoint(call)
  assert.match(seen.at(-1)?.authorization ?? '', /^Bearer /)
})

test('a certificate of an unknown CA or of another node is refused before anything is sent', async () => {
  const before = seen.length
  await assert.rejects(kubelet({ caFile: join(folder, 'other.crt') }).checkpoint(call), {
    reason: 'KubeletCertificateUntrusted',
  })
  await assert.rejects(kubelet({ nodeName: 'node-2' }).checkpoint(call), { reason: 'KubeletCertificateUntrusted' })
  assert.equal(seen.length, before)
})

test('any certificate will do only with insecureTls, which the log tells', async () => {
  answer = good
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => lines.push(line) })
  await kubelet({ nodeName: 'node-2', insecureTls: true, log }).checkpoint(call)
  assert.match(lines.join(''), /--kubelet-insecure-tls/)
})

for (const body of ['{"items":["../../etc/shadow"]}', '{"items":["/var/../etc/x.tar"]}', '{"items":[]}', 'ok']) {
  test(`an answer that is no path is refused: ${body}`, async () => {
    answer = { status: 200, body }
    await assert.rejects(kubelet().checkpoint(call), { reason: 'UnexpectedKubeletAnswer' })
  })
}

test('no kubelet, no token: each says what to do', async () => {
  await assert.rejects(kubelet({ port: 1 }).checkpoint(call), { reason: 'KubeletUnreachable' })
  await assert.rejects(kubelet({ tokenFile: join(folder, 'no') }).checkpoint(call), {
    reason: 'KubeletCredentialsMissing',
  })
})
