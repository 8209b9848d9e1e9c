/** The lab's API server under another version: what a client finds out by asking for it can't be had otherwise. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { issueServerCertificate, makeAuthority } from '../../src/controller/certificates/issue.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { KubeError } from '../../src/kube/error.ts'

const NAME = 'older'
const HOUR_MS = 3600_000

/**
 * On the loopback, with the client's own credentials; all but the version is the real server's answer.
 *
 * @param run gets the path of a kubeconfig
 */
export async function withVersion<T>(
  client: KubeClient,
  gitVersion: string,
  run: (kubeconfig: string) => Promise<T>,
): Promise<T> {
  const answer = async (request: IncomingMessage): Promise<string> => {
    const { pathname: path, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const body = await text(request)
    const said = await client.request({
      ...{ method: request.method as 'GET', path, query: Object.fromEntries(searchParams) },
      ...(body === '' ? {} : { body: JSON.parse(body) }),
    })
    return path === '/version' ? JSON.stringify({ ...JSON.parse(said), gitVersion }) : said
  }
  const now = new Date()
  const authority = await makeAuthority(now, HOUR_MS)
  const identity = await issueServerCertificate(authority, [NAME], HOUR_MS, now)
  const server = createServer(identity, (request, response) => {
    answer(request).then(
      (said) => response.writeHead(200, { 'content-type': 'application/json' }).end(said),
      (error) => response.writeHead(error instanceof KubeError ? error.status || 502 : 502).end(String(error)),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const folder = await mkdtemp(join(tmpdir(), 'podferry-version-'))
  try {
    const kubeconfig = join(folder, 'kubeconfig')
    const { port } = server.address() as AddressInfo
    const cluster = {
      server: `https://127.0.0.1:${port}`,
      'tls-server-name': NAME,
      'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
    }
    const config = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'older' },
      clusters: [{ name: 'older', cluster }],
      users: [{ name: 'nobody', user: {} }],
      contexts: [{ name: 'older', context: { cluster: 'older', user: 'nobody' } }],
    }
    await writeFile(kubeconfig, JSON.stringify(config))
    return await run(kubeconfig)
  } finally {
    server.close()
    server.closeAllConnections()
    await rm(folder, { recursive: true })
  }
}
