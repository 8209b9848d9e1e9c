/** Two real keepers in processes of their own, on one machine, with a link that can be cut, and plain sockets in place of CRIU. */

import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type OnReadOpts, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { makeAuthority } from '../../../controller/certificates/issue.ts'
import { jobFiles, readPid } from '../../jobs/job-files.ts'
import { createJobs } from '../../jobs/jobs.ts'
import { sessionMembers } from '../../jobs/processes.ts'
import { fixedIdentity } from '../../peer/identity.ts'
import { makeIdentity } from '../../peer/testing/identities.ts'
import { createKeepers, type Keepers } from '../keepers.ts'

const HOUR = 3600_000
const LOOPBACK = '127.0.0.1'

export const authority = await makeAuthority(new Date(Date.now() - HOUR), 24 * HOUR)
export const identities = {
  source: await makeIdentity({ authority, node: 'node-1' }),
  destination: await makeIdentity({ authority, node: 'node-2' }),
}

export interface End {
  folder: string
  keepers: Keepers
  /** SIGKILL for the keeper alone. */
  killKeeper(): Promise<void>
  /** Process IDs of all that its job has begun and that lives. */
  processes(): Promise<number[]>
}

export interface KeeperPair {
  source: End
  destination: End
  /** From the wish for the source's keeper to its port. */
  startMs: number
  /** What the destination's keeper was started with. */
  wish: Parameters<Keepers['startDestination']>[0]
  /** Where the source's keeper listens for its twin. */
  twinPort: number
  link: Link
  /** Exit code of the daemon. */
  exitFile: string
  deliveredFile: string
  /**
   * @param onread reads at once, without making garbage
   * @returns the daemon's side of its connection
   */
  startDaemon(onread?: OnReadOpts): Promise<Socket>
  /** Lets the source's keeper connect. @returns CRIU's side of its connection, paused */
  openPageServer(): Promise<Socket>
}

interface PairOptions {
  /** Bytes after which the link is cut, again and again. Default: never. */
  cutAfter?: number
  /** Whom the destination takes its twin for. Default: who it is. */
  expectedSource?: string
  /** No link in between, for measurements. */
  direct?: boolean
  /** Of both. Default: none. */
  bytesPerSecond?: number
}

/** Everything that was started is gone when it resolves. */
export async function withKeepers(run: (pair: KeeperPair) => Promise<void>, options: PairOptions = {}): Promise<void> {
  const source = await makeEnd('source', options.bytesPerSecond)
  const destination = await makeEnd('destination', options.bytesPerSecond)
  const local: Socket[] = []
  let link: Link | undefined
  const pageServer = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  try {
    const began = performance.now()
    const { port: twinPort } = await source.keepers.startSource({
      folder: source.folder,
      address: LOOPBACK,
      peerNode: identities.destination.node,
    })
    const startMs = Math.round(performance.now() - began)
    link = await startLink(twinPort, options.cutAfter)
    const exitFile = join(destination.folder, 'lazy.exit')
    const deliveredFile = join(destination.folder, 'delivered')
    // As an agent does while the destination pod is made.
    await destination.keepers.prepare(destination.folder)
    const wish = {
      folder: destination.folder,
      peerNode: options.expectedSource ?? identities.source.node,
      peerAddress: LOOPBACK,
      peerPort: options.direct ? twinPort : link.port,
      pidFile: join(destination.folder, 'lazy.pid'),
      exitFile,
      deliveredFile,
    }
    const { port: daemonPort } = await destination.keepers.startDestination(wish)
    await run({
      wish,
      source,
      destination,
      startMs,
      twinPort,
      link,
      exitFile,
      deliveredFile,
      async startDaemon(onread) {
        const socket = connect({ host: LOOPBACK, port: daemonPort, allowHalfOpen: true, ...(onread && { onread }) })
        local.push(socket)
        await once(socket, 'connect')
        return socket
      },
      async openPageServer() {
        const port = await listen(pageServer)
        const [[socket]] = await Promise.all([once(pageServer, 'connection'), source.keepers.open(source.folder, port)])
        local.push(socket as Socket)
        return socket as Socket
      },
    })
  } finally {
    for (const end of [source, destination]) {
      await end.keepers.end(end.folder)
      await rm(end.folder, { recursive: true })
    }
    for (const socket of local) socket.destroy()
    pageServer.close()
    link?.close()
  }
}

export async function makeEnd(role: keyof typeof identities, bytesPerSecond?: number): Promise<End> {
  // As long as a real folder: longer than the path of a Unix socket may be.
  const folder = await mkdtemp(join(tmpdir(), `podferry-pages-${role}-${'x'.repeat(80)}-`))
  // Keepers of a test live where the test lives.
  const jobs = createJobs('/', [])
  const log = pino({ enabled: false })
  const processes = async () => {
    const job = await readPid(jobFiles('/', folder, 'keeper'))
    return job ? await sessionMembers(job) : []
  }
  return {
    folder,
    processes,
    keepers: createKeepers({ hostRoot: '/', jobs, identity: fixedIdentity(identities[role]), log, bytesPerSecond }),
    async killKeeper() {
      for (const pid of await processes()) {
        // One that has ended meanwhile has none.
        const [program] = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
        if (program === process.execPath) process.kill(pid, 'SIGKILL')
      }
    },
  }
}

interface Link {
  port: number
  /** Cuts that were made. */
  cuts(): number
  cut(): void
  close(): void
}

/** Passes connections on to a port, and breaks them. */
async function startLink(target: number, cutAfter = Number.POSITIVE_INFINITY): Promise<Link> {
  const open = new Set<Socket>()
  let passed = 0
  let cuts = 0
  const cut = () => {
    cuts++
    passed = 0
    for (const socket of open) socket.resetAndDestroy()
  }
  const server = createServer((near) => {
    const far = connect(target, LOOPBACK)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.on('error', () => {})
      from.once('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.on('data', (chunk: Buffer) => {
        passed += chunk.length
        if (!to.write(chunk)) from.pause()
        if (passed > cutAfter) cut()
      })
      from.on('drain', () => to.resume())
    }
  })
  const port = await listen(server)
  return {
    port,
    cuts: () => cuts,
    cut,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

async function listen(server: Server): Promise<number> {
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
