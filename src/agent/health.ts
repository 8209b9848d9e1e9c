/** Whether the agent works, for the kubelet's probe: on the loopback, as it needs no authentication. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

const HEALTH_PORT = 5580

interface HealthServer {
  port: number
  close(): Promise<void>
}

/**
 * `GET /healthz` answers 200, or 503 while something is missing, with one line a missing thing.
 *
 * @param missing what keeps the agent from working; empty when nothing does
 * @param port 0 picks a free one
 */
export async function startHealth(missing: () => readonly string[], port = HEALTH_PORT): Promise<HealthServer> {
  const server = http.createServer((request, response) => {
    if (request.url !== '/healthz') return void response.writeHead(404).end()
    const problems = missing()
    response
      .writeHead(problems.length === 0 ? 200 : 503)
      .end(problems.length === 0 ? 'ok\n' : `${problems.join('\n')}\n`)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve())
  })
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
