/** `node ear.ts ADDRESS PORT`: tells each datagram as a line `FROM HEARD_AT TEXT`, in milliseconds since the epoch. Ends with its input, so it never outlives who started it. */
import { createSocket } from 'node:dgram'

const [address, port] = process.argv.slice(2)
const socket = createSocket('udp4')
socket.on('message', (message, { address: from }) =>
  process.stdout.write(`${from} ${Date.now()} ${message.toString().trim()}\n`),
)
socket.bind(Number(port), address, () => process.stdout.write('listening\n'))
process.stdin.on('end', () => process.exit(0)).resume()
