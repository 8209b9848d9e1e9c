/** One command at a time changes a lab or the cache. */
import { createHash } from 'node:crypto'
import { connect, createServer, type Server } from 'node:net'
import { LabError } from './lab-error.ts'
import { CACHE, LAB_NAME } from './places.ts'

/** Abstract sockets: atomic, and the kernel frees them however their holder ends. */
const LOCKS = {
  lab: `\0${LAB_NAME}`,
  // Labs that share a cache fill it one after the other.
  cache: `\0podferry-lab-cache-${createHash('sha256').update(CACHE).digest('hex').slice(0, 16)}`,
} as const

/**
 * Runs `work` while this process holds the lock.
 * @param what the holder's command, told to whoever comes in between.
 * @throws LabError at once when another process holds it.
 */
export async function withLock<T>(what: string, lock: keyof typeof LOCKS, work: () => Promise<T>): Promise<T> {
  const server = await listen(LOCKS[lock], `${what} (process ${process.pid})`)
  try {
    return await work()
  } finally {
    server.close()
  }
}

function listen(address: string, holder: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(holder)
    })
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error)
      askHolder(address).then(
        (other) => reject(new LabError(`the lab is busy with ${other}: wait for it to end`)),
        reject,
      )
    })
    server.listen(address, () => {
      server.unref()
      resolve(server)
    })
  })
}

function askHolder(address: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(address)
    socket.setTimeout(1000, () => socket.destroy())
    socket.on('data', (chunk) => {
      answer += chunk.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer || 'another command'))
  })
}
