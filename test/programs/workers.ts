/**
 * `node workers.ts WITNESS_IP:PORT`: timers that are due and timers that are far off, two workers, files read by the thread pool, memory
 * whose sums are known. Every 25 ms it reports `NONCE NUMBER STATE` to the witness.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { crc32 } from 'node:zlib'

const TICK_MS = 25
/** So many timers are always armed and not yet due: `FAR_MS / TICK_MS`. */
const FAR_MS = 2_000
const MEMORY_BYTES = 1 << 20
const FILE = '/data/file'
// A ConfigMap's files have other real paths in each pod, and `import.meta` tells the real one.
const [, SELF = '', WITNESS = ''] = process.argv

function work(): void {
  const memory = randomBytes(MEMORY_BYTES)
  const sum = crc32(memory)
  let count = 0
  let torn = 0
  setInterval(() => {
    count++
    if (crc32(memory) !== sum) torn++
    parentPort?.postMessage({ count, torn })
  }, TICK_MS)
}

function report(witness: string): void {
  const [host = '', port = ''] = witness.split(':')
  const nonce = randomBytes(8).toString('hex')
  const socket = createSocket('udp4')
  writeFileSync(FILE, randomBytes(MEMORY_BYTES))
  const workers = [1, 2].map(() => {
    const latest = { count: 0, torn: 0 }
    new Worker(SELF).on('message', (message) => Object.assign(latest, message))
    return latest
  })
  let [number, due, read] = [0, 0, 0]
  setInterval(() => {
    number++
    setTimeout(() => due++, FAR_MS)
    readFile(FILE).then(({ length }) => {
      if (length === MEMORY_BYTES) read++
    })
    const state = { threads: readdirSync('/proc/self/task').length, workers, due, read }
    socket.send(`${nonce} ${number} ${JSON.stringify(state)}`, Number(port), host)
  }, TICK_MS)
}

if (isMainThread) report(WITNESS)
else work()
