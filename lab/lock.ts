/** One command at a time changes the lab. */
import { connect, createServer, type Server } from 'node:net'
import { LabError } from './lab-error.ts'

/** An abstract socket: atomic, and the kernel frees it however its holder ends. */
const ADDRESS = '\0podferry-lab'

/**
 * Runs `work` while this process holds the lab.
 * @param what the holder's command, told to whoever comes in between.
 * @throws LabError at once when another process holds it.
 */
export async function withLock<T>(what: string, work: () => Promise<T>): Promise<T> {
  const server = await listen(`${what} (process ${process.pid})`)
  try {
    return await work()
  } finally {
    server.close()
  }
}

function listen(holder: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(holder)
    })
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error)
      askHolder().then((other) => reject(new LabError(`the lab is busy with ${other}: wait for it to end`)), reject)
    })
    server.listen(ADDRESS, () => {
      server.unref()
      resolve(server)
    })
  })
}

function askHolder(): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(ADDRESS)
    socket.setTimeout(1000, () => socket.destroy())
    socket.on('data', (chunk) => {
      answer += chunk.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer || 'another command'))
  })
}
