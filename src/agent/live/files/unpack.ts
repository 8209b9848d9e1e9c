/** Files that arrive, put where they belong. */

import type { Readable } from 'node:stream'
import { Transform, type TransformCallback } from 'node:stream'
import { runTar, WHOLE_FILES } from './tar.ts'

interface Unpack {
  /** As this process sees it; it exists. */
  folder: string
  body: Readable
  /** Kills the extraction. */
  signal: AbortSignal
}

/**
 * Brings a folder to what an archive of `packFiles` says: contents, deletions, attributes. Level 0 may come again on top of itself.
 *
 * @returns bytes of the archive
 * @throws PodferryError `CopyFailed` with what tar said; the body's own error when it breaks off
 */
export const unpackFiles = (options: Unpack): Promise<{ bytes: number }> =>
  unpack(options, ['--listed-incremental=/dev/null', '--delay-directory-restore', '--same-permissions', ...WHOLE_FILES])

/** The counterpart of `packFolder`. */
export const unpackFolder = (options: Unpack): Promise<{ bytes: number }> => unpack(options, ['--same-permissions'])

async function unpack({ folder, body, signal }: Unpack, how: readonly string[]): Promise<{ bytes: number }> {
  const counted = new Counter()
  const broken = new AbortController()
  const { done, output } = runTar(
    // The archive's end is its two empty blocks: what follows is read too, so that the sender can finish.
    ['--extract', '--file=-', `--directory=${folder}`, '--same-owner', '--numeric-owner', '--ignore-zeros', ...how],
    { input: counted, signal: AbortSignal.any([signal, broken.signal]) },
  )
  output.resume()
  // A body that breaks off must never count as a short archive: tar dies before it sees an end.
  body.once('error', (error) => broken.abort(error))
  body.once('close', () => {
    if (!body.readableEnded) broken.abort(new Error('the archive broke off'))
  })
  body.pipe(counted)
  await done
  return { bytes: counted.bytes }
}

class Counter extends Transform {
  bytes = 0

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.bytes += chunk.length
    done(null, chunk)
  }
}
