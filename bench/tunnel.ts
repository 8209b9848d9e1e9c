/** How fast pages pass through two page keepers: 1 GiB over mutual TLS on the loopback, both ends plain sockets. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type End, withKeepers } from '../src/agent/pages/testing/keeper-pair.ts'

interface TunnelFigures {
  mebibytesPerSecond: number
  /** Resident memory of the bigger of the two keepers at the end. */
  keeperMegabytes: number
  /** From the wish for a keeper to its port. */
  startMs: number
}

const MEBIBYTE = 1 << 20
const CHUNK = Buffer.alloc(MEBIBYTE, 'podferry')

export async function measureTunnel(mebibytes = 1024): Promise<TunnelFigures> {
  let figures: TunnelFigures | undefined
  await withKeepers(
    async ({ source, destination, startMs, startDaemon, openPageServer }) => {
      let left = mebibytes * MEBIBYTE
      const arrived = Promise.withResolvers<void>()
      // The ends must not cost more than CRIU's, which have the kernel move their pages.
      const onread = {
        buffer: Buffer.alloc(MEBIBYTE),
        callback(length: number) {
          left -= length
          if (left <= 0) arrived.resolve()
          return true
        },
      }
      await startDaemon(onread)
      const criu = await openPageServer()
      const began = performance.now()
      for (let sent = 0; sent < mebibytes; sent++) if (!criu.write(CHUNK)) await once(criu, 'drain')
      await arrived.promise
      const seconds = (performance.now() - began) / 1000
      const keeperMegabytes = Math.max(await residentMegabytes(source), await residentMegabytes(destination))
      figures = { mebibytesPerSecond: Math.round(mebibytes / seconds), keeperMegabytes, startMs }
    },
    { direct: true },
  )
  if (figures === undefined) throw new Error('nothing was measured')
  return figures
}

async function residentMegabytes(end: End): Promise<number> {
  const sizes = (await end.processes()).map(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024
  })
  return Math.round(Math.max(...(await Promise.all(sizes))))
}
