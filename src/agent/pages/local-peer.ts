/** Who is at the other end of a connection over the loopback. */
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/**
 * A port on the loopback is open to every program of the node; memory of a pod is for ours only.
 *
 * @returns true when the other end belongs to the user that this process runs as
 */
export async function isOwnUser(socket: Socket): Promise<boolean> {
  return (await peerOf(socket))?.user === process.getuid?.()
}

interface LocalPeer {
  /** User ID. */
  user: number
  /** Of the socket; 0 as long as nobody has accepted it. */
  inode: string
}

/** @returns undefined when the connection is over */
export const peerOf = async ({ remotePort, localPort }: Socket): Promise<LocalPeer | undefined> =>
  findPeer(await readFile('/proc/self/net/tcp', 'utf8'), remotePort, localPort)

/**
 * @param table contents of /proc/net/tcp, see proc(5)
 * @returns the socket that is bound to 127.0.0.1:from and connected to 127.0.0.1:to
 */
export function findPeer(table: string, from: number | undefined, to: number | undefined): LocalPeer | undefined {
  const end = (port: number | undefined) => `0100007F:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of table.split('\n')) {
    const [, local, remote, , , , , user, , inode = '0'] = line.trim().split(/\s+/)
    if (local === end(from) && remote === end(to)) return { user: Number(user), inode }
  }
  return undefined
}
