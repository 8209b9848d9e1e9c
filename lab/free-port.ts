/** Ports on the loopback for programs that can't choose one themselves. */
import { createServer } from 'node:net'

/** A port that is free now; another process may take it before the broker does, which then says so. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
