/** Who is at the other end of a connection over the loopback. */
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/**
 * A port on the loopback is open to every program of the node; memory of a pod is for ours only.
 *
 * @returns true when the other end belongs to the user that this process runs as
 */
export async function isOwnUser(socket: Socket): Promise<boolean> {
  return (
    userOf(await readFile('/proc/self/net/tcp', 'utf8'), socket.remotePort, socket.localPort) === process.getuid?.()
  )
}

/**
 * @param table contents of /proc/net/tcp, see proc(5)
 * @returns the user ID of the socket that is bound to 127.0.0.1:from and connected to 127.0.0.1:to
 */
export function userOf(table: string, from: number | undefined, to: number | undefined): number | undefined {
  const end = (port: number | undefined) => `0100007F:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of table.split('\n')) {
    const [, local, remote, , , , , user] = line.trim().split(/\s+/)
    if (local === end(from) && remote === end(to)) return Number(user)
  }
  return undefined
}
