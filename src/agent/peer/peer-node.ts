/** Which node a connection comes from. A file of its own: page keepers start quickly because they import nothing else of the peer code. */
import type { TLSSocket } from 'node:tls'
import { commonNameOf, nodeOfCommonName, ORGANIZATION, serverNameOf } from './names.ts'

/** @returns the node that the peer's verified certificate speaks of */
export function nodeOfPeer(socket: TLSSocket): string | undefined {
  const { subject, subjectaltname } = socket.getPeerCertificate()
  const node = nodeOfCommonName(String(subject?.CN ?? ''))
  if (!socket.authorized || node === undefined || subject.O !== ORGANIZATION) return undefined
  const names = subjectaltname?.split(', ') ?? []
  return subject.CN === commonNameOf(node) && names.includes(`DNS:${serverNameOf(node)}`) ? node : undefined
}
