/** Keeps a disk from being filled by what arrives: a full disk harms every pod of the node. */
import { statfs } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { Transform, type TransformCallback } from 'node:stream'
import { PodferryError } from '../../../errors.ts'

const MEBIBYTE = 1024 * 1024
/** What stays free for the others on that file system: kubelet begins to evict near here. */
const RESERVE_BYTES = 256 * MEBIBYTE
const LOOK_EVERY_BYTES = 32 * MEBIBYTE

/**
 * @param folder where it goes, as this process sees it
 * @returns the same bytes; fails with PodferryError `DiskTooSmall` as soon as too little is free
 */
export function withinRoom(folder: string, body: Readable, reserve = RESERVE_BYTES): Readable {
  let unlooked = Number.POSITIVE_INFINITY
  const room = new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      unlooked += chunk.length
      if (unlooked < LOOK_EVERY_BYTES) return done(null, chunk)
      unlooked = 0
      checkRoom(folder, reserve).then(
        () => done(null, chunk),
        (error) => done(error as Error),
      )
    },
  })
  body.once('error', (error) => room.destroy(error))
  body.once('close', () => body.readableEnded || room.destroy(new Error('the sender broke off')))
  room.once('close', () => room.readableEnded || body.destroy())
  return body.pipe(room)
}

/**
 * @param folder as this process sees it
 * @throws PodferryError `DiskTooSmall`
 */
export async function checkRoom(folder: string, reserve = RESERVE_BYTES): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(folder)
  // A small file system (an emptyDir in memory, /dev/shm) is the pod's own; nobody else needs a reserve there.
  const kept = Math.min(reserve, (blocks * bsize) / 20)
  if (bavail * bsize >= kept) return
  const [free, wanted] = [bavail * bsize, kept].map((bytes) => `${Math.ceil((bytes ?? 0) / MEBIBYTE)} MiB`)
  const message = `${folder} on the destination node has ${free} left, of which ${wanted} stay free for others; free space there or choose another node`
  throw new PodferryError({ reason: 'DiskTooSmall', message })
}
