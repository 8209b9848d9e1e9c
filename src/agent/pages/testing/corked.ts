/** Argument: a port of the loopback. Connects, corks as CRIU does, says a word, and for each line of its input tells whether it is corked. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import koffi from 'koffi'

const IPPROTO_TCP = 6
const TCP_CORK = 3

const libc = koffi.load(null)
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, const int *value, uint32_t length)')
const getsockopt = libc.func('int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ uint32_t *length)')

const socket = connect({ host: '127.0.0.1', port: Number(process.argv[2]) })
await once(socket, 'connect')
const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
setsockopt(fd, IPPROTO_TCP, TCP_CORK, [1], 4)
socket.write('word')
for await (const _ of createInterface({ input: process.stdin })) {
  const value = [-1]
  getsockopt(fd, IPPROTO_TCP, TCP_CORK, value, [4])
  console.log(value[0])
}
