/** Files that arrive, put where they belong. */
import type { Readable } from 'node:stream'
import { runTar, WHOLE_FILES } from './tar.ts'

interface Unpack {
  /** As this process sees it; it exists. */
  folder: string
  body: Readable
  /** Kills the extraction. */
  signal: AbortSignal
  /** Members to leave out, as tar's pattern. */
  without?: string
}

/**
 * Brings a folder to what an archive of `packFiles` says: contents, deletions, attributes. Either level may come again on top of itself.
 *
 * One thing tar does not do: an xattr that a folder has lost between two copies stays (files are made anew). overlayfs never takes
 * `opaque` from a folder that has it for a reason, so nothing comes to light by that.
 *
 * @returns bytes of the archive
 * @throws PodferryError `CopyFailed` with what tar said; the body's own error when it breaks off. No tar runs any more then
 */
export async function unpackFiles({ folder, body, signal, without }: Unpack): Promise<{ bytes: number }> {
  const broken = new AbortController()
  // A body that breaks off must never count as a short archive: tar dies before it sees an end.
  const breakOff = () => body.readableEnded || broken.abort(body.errored ?? new Error('the archive broke off'))
  if (body.destroyed) breakOff()
  body.once('error', breakOff).once('close', breakOff)
  let bytes = 0
  body.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  const { done, output } = runTar(
    [
      ...['--extract', '--file=-', `--directory=${folder}`, '--same-permissions', '--same-owner'],
      ...['--listed-incremental=/dev/null', '--delay-directory-restore', ...WHOLE_FILES],
      ...(without === undefined ? [] : [`--exclude=${without}`]),
      // The archive's end is its two empty blocks: what follows is read too, so that the sender can finish.
      '--ignore-zeros',
    ],
    { input: body, signal: AbortSignal.any([signal, broken.signal]) },
  )
  output.resume()
  await done
  return { bytes }
}
