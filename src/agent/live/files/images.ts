/**
 * CRIU's images on their way: a flat folder of regular files, as a tar. In this process, because the pod stands still meanwhile and
 * a child process takes longer to start than these few files take to copy. They lie in memory (/run), so the small ones are read and
 * written at once: a call that waits for nothing costs a hundredth of one that takes turns with all else.
 */
import { createReadStream, createWriteStream, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract, pack } from 'tar-stream'
import { PodferryError } from '../../../errors.ts'
import type { Packed } from './pack.ts'

/** A file up to this size is one read and one write. */
const WHOLE_BYTES = 1 << 20
/** As CRIU names them, runc's `descriptors.json` too. */
const FILE_NAME = /^[0-9A-Za-z][0-9A-Za-z._-]{0,200}$/

/** @param folder as this process sees it */
export function packImages(folder: string): Packed {
  const body = new PassThrough({ highWaterMark: 1 << 20 })
  // Whoever reads it hears of errors all the same; nobody may be reading yet.
  body.on('error', () => {})
  const tar = pack()
  const filled = fill(folder, tar).catch((cause) => {
    const message = `the images in ${folder} cannot be read: ${cause instanceof Error ? cause.message : cause}`
    const error = new PodferryError({ reason: 'CopyFailed', message, retry: 'backoff', cause })
    tar.destroy(error)
    throw error
  })
  const done = Promise.all([filled, pipeline(tar, body)]).then(() => {})
  done.catch(() => {})
  return { body, done }
}

async function fill(folder: string, tar: ReturnType<typeof pack>): Promise<void> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const found = statSync(path)
    if (!found.isFile() || !FILE_NAME.test(name)) throw new Error(`${JSON.stringify(name)} is no image of CRIU's`)
    if (found.size <= WHOLE_BYTES) tar.entry({ name }, readFileSync(path))
    else await pipeline(createReadStream(path), tar.entry({ name, size: found.size }))
  }
  tar.finalize()
}

/**
 * The counterpart of `packImages`; root-only files.
 *
 * @param folder as this process sees it; it exists and is empty
 * @returns bytes of the archive
 * @throws PodferryError `CopyFailed` when it is none of ours; the body's own error when it breaks off; the signal's reason
 */
export async function unpackImages({
  folder,
  body,
  signal,
}: {
  folder: string
  body: Readable
  signal: AbortSignal
}): Promise<{ bytes: number }> {
  let bytes = 0
  const count = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      bytes += chunk.length
      yield chunk
    }
  }
  const tar = extract()
  const written = (async () => {
    for await (const entry of tar) {
      const { name, type, size = 0 } = entry.header
      if (type !== 'file' || !FILE_NAME.test(name)) throw notOurs(name)
      const path = join(folder, name)
      if (size <= WHOLE_BYTES)
        writeFileSync(path, await buffer(entry as unknown as Readable), { mode: 0o600, flag: 'wx' })
      else await pipeline(entry, createWriteStream(path, { mode: 0o600, flags: 'wx' }))
    }
  })()
  written.catch((error) => tar.destroy(error))
  // Whoever works on the same folder next must find nobody there, also after a failure.
  const [arrived, stored] = await Promise.allSettled([pipeline(body, count, tar, { signal }), written])
  signal.throwIfAborted()
  if (stored.status === 'rejected') throw stored.reason
  if (arrived.status === 'rejected') throw arrived.reason
  return { bytes }
}

const notOurs = (name: string) =>
  new PodferryError({
    reason: 'CopyFailed',
    message: `the archive of images holds ${JSON.stringify(name.slice(0, 200))}, which is none of CRIU's files`,
    retry: 'backoff',
  })
