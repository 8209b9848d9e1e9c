import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { registryOrigin, send } from './http.ts'
import { RegistryClient } from './registry-client.ts'

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An upload endpoint that signs what it has into the location, as distribution does. */
const uploads = (seen: string[]): RequestListener => {
  let state = 0
  return (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    request.resume().on('end', () => {
      const status = { POST: 202, PATCH: 202, DELETE: 204 }[request.method ?? ''] ?? 500
      response.writeHead(status, { location: `/upload?_state=${++state}` }).end()
    })
  }
}

async function* breaking(chunks: number, breaks: () => void) {
  for (let i = 0; i < chunks; i++) yield Buffer.alloc(1 << 16)
  breaks()
  yield Buffer.alloc(1)
}

const brokenSource = () => {
  throw new Error('the source node is gone')
}

test('a source that fails is named itself, and the upload is cancelled at its newest location', async (t) => {
  const seen: string[] = []
  const client = new RegistryClient({ url: await serve(t, uploads(seen)) })
  await assert.rejects(client.uploadBlob('a', 't', breaking(3, brokenSource)), { message: 'the source node is gone' })
  assert.deepEqual(seen, ['POST /v2/a/blobs/uploads/', 'PATCH /upload?_state=1', 'DELETE /upload?_state=2'])
})

test('an upload whose caller aborts while its source is silent ends at once', async (t) => {
  const seen: string[] = []
  const client = new RegistryClient({ url: await serve(t, uploads(seen)) })
  const abort = new AbortController()
  async function* silent() {
    yield Buffer.alloc(1)
    setTimeout(() => abort.abort(new Error('cancelled by its user')), 20)
    await new Promise(() => {})
  }
  await assert.rejects(client.uploadBlob('a', 't', silent(), abort.signal), { message: 'cancelled by its user' })
  assert.equal(seen.at(-1), 'DELETE /upload?_state=2')
})

test('a registry that refuses early is not sent the rest', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.method === 'PATCH') response.writeHead(507).end('{"errors":[{"code":"UNKNOWN","message":"disk full"}]}')
    else response.writeHead(202, { location: '/upload' }).end()
  })
  let sent = 0
  async function* endless() {
    for (;;) {
      sent++
      yield Buffer.alloc(1 << 16)
      await new Promise(setImmediate)
    }
  }
  await assert.rejects(new RegistryClient({ url }).uploadBlob('a', 't', endless()), {
    message: 'upload to a: the registry answered 507: UNKNOWN: disk full',
    retry: 'backoff',
  })
  const after = sent
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok(sent <= after + 1, `${sent - after} more chunks`)
})

test('a registry that hangs is given up', async (t) => {
  const url = new URL(await serve(t, () => {}))
  await assert.rejects(send({ url: url.href }, { method: 'GET', url, timeoutMs: 50 }), {
    reason: 'RegistryTimeout',
    retry: 'backoff',
  })
})

test('what may be repeated is repeated, what may not is not', async (t) => {
  const seen: string[] = []
  const url = await serve(t, ({ method = '' }, response) => {
    seen.push(method)
    response.writeHead(seen.length < 3 ? 503 : 200).end()
  })
  assert.equal(await new RegistryClient({ url }).hasBlob('a', 'sha256:0'), true)
  assert.deepEqual(seen.splice(0), ['HEAD', 'HEAD', 'HEAD'])
  await assert.rejects(
    new RegistryClient({ url }).uploadBlob(
      'a',
      't',
      breaking(0, () => {}),
    ),
  )
  assert.deepEqual(seen, ['POST'])
})

test('a blob whose end was answered by a cut connection is looked for', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.method === 'PUT') return request.socket.destroy()
    request.resume().on('end', () => {
      response.writeHead(request.method === 'HEAD' ? 200 : 202, { location: '/upload' }).end()
    })
  })
  const { size } = await new RegistryClient({ url }).uploadBlob(
    'a',
    't',
    breaking(1, () => {}),
  )
  assert.equal(size, (1 << 16) + 1)
})

test('only a loopback address is spoken to without TLS', () => {
  for (const url of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1', 'https://registry.example'])
    assert.doesNotThrow(() => registryOrigin({ url }))
  for (const url of ['http://registry.example', 'http://127.0.0.1.example', 'ftp://127.0.0.1'])
    assert.throws(() => registryOrigin({ url }), { reason: 'InsecureRegistry' })
})

test('a password goes to no token service that speaks in clear text', async (t) => {
  const url = await serve(t, (_, response) =>
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://auth.example/token",service="r"' }).end(),
  )
  const client = new RegistryClient({ url, auth: { username: 'u', password: 'p' } })
  await assert.rejects(client.ping(), { reason: 'InsecureRegistry', message: /auth\.example/ })
})

test('a token is fetched with the password, used, and a refusal of the token service is told', async (t) => {
  const seen: (string | undefined)[] = []
  const auth = await serve(t, (request, response) => {
    seen.push(request.url, request.headers.authorization)
    if (request.headers.authorization === `Basic ${btoa('u:p')}`) response.end('{"access_token":"abc"}')
    else response.writeHead(403).end('account locked')
  })
  const url = await serve(t, (request, response) => {
    const challenge = `Bearer realm="${auth}/token",service="r",scope="repository:a:pull"`
    if (request.headers.authorization === 'Bearer abc') response.end()
    else response.writeHead(401, { 'www-authenticate': challenge }).end()
  })
  await new RegistryClient({ url, auth: { username: 'u', password: 'p' } }).ping()
  assert.deepEqual(seen, ['/token?service=r&scope=repository%3Aa%3Apull', `Basic ${btoa('u:p')}`])
  await assert.rejects(new RegistryClient({ url }).ping(), {
    reason: 'RegistryForbids',
    message: /\/token.*403.*locked/,
  })
})
