/** Packs and unpacks as two agents would. */
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { packFiles } from '../pack.ts'
import { unpackFiles } from '../unpack.ts'

export interface Copying {
  from: string
  to: string
  notes: string
  medium?: 'disk' | 'memory'
}

/** @returns bytes of the archive */
export async function copy(level: 0 | 1, { from, to, notes, medium = 'disk' }: Copying): Promise<number> {
  const { body, done } = packFiles({ root: { root: 'volume:data', folder: from, medium }, snapshots: notes, level })
  const { bytes } = await unpackFiles({ folder: to, body, signal: new AbortController().signal })
  await done
  return bytes
}

/** Level 0 until so many bytes have arrived, then the connection ends. */
export async function breakOff({ from, to, notes }: Copying, bytes: number): Promise<void> {
  const { body, done } = packFiles({
    root: { root: 'volume:data', folder: from, medium: 'disk' },
    snapshots: notes,
    level: 0,
  })
  const cut = new PassThrough()
  const unpacked = unpackFiles({ folder: to, body: cut, signal: new AbortController().signal })
  let sent = 0
  const sending = pipeline(
    body,
    async function* (chunks) {
      for await (const chunk of chunks) {
        yield chunk.subarray(0, bytes - sent)
        sent += chunk.length
        if (sent >= bytes) throw new Error('cut')
      }
    },
    cut,
  )
  const [outcome] = await Promise.allSettled([unpacked, sending, done])
  if (outcome.status === 'fulfilled' && sent >= bytes) throw new Error('a cut archive counted as whole')
}
