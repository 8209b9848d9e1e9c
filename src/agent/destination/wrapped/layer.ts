/** What a container had changed of its image, as an OCI layer, put into the upper folder of an overlay that is not mounted. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { PassThrough, pipeline as pipe, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract, type Header, pack } from 'tar-stream'
import { unpackFiles } from '../../live/files/unpack.ts'

/** Of the OCI image specification (layer.md): `.wh.NAME` says that NAME is gone, the second that all of the folder is. */
const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** So overlayfs marks a folder that hides the one below it. */
const OPAQUE_XATTR = 'SCHILY.xattr.trusted.overlay.opaque'

/**
 * Fills an upper folder. It may be called again after it was interrupted.
 *
 * @param layer a tar, compressed by gzip or not, as this process sees it
 * @param upper as this process sees it
 * @throws PodferryError `CopyFailed` with what tar said; the layer's own error when it is damaged
 */
export async function applyLayer(layer: string, upper: string, signal: AbortSignal): Promise<void> {
  const hidden = hiddenBy(await headersOf(layer))
  // First: tar sets the times of the folders when it has put all into them.
  await unpackFiles({ folder: upper, body: marks(hidden), signal })
  await unpackFiles({ folder: upper, body: await opened(layer), signal, without: `${WHITEOUT}*` })
}

interface Hidden {
  /** Paths that are gone. */
  gone: string[]
  /** Folders of which nothing below is seen. */
  opaque: Header[]
}

/** Pure. */
function hiddenBy(headers: readonly Header[]): Hidden {
  const there = new Map(headers.map((header) => [pathOf(header.name), header]))
  const gone: string[] = []
  const opaque = new Map<string, Header>()
  const hide = (path: string) => {
    const header = there.get(path)
    if (header?.type === 'directory') opaque.set(path, header)
    return header !== undefined
  }
  for (const name of there.keys()) {
    const [folder, last] = [dirname(name), basename(name)]
    if (last === OPAQUE) hide(folder)
    else if (last.startsWith(WHITEOUT)) {
      const path = join(folder, last.slice(WHITEOUT.length))
      // What was made anew hides the old one by itself; a folder would be merged with it.
      if (!hide(path)) gone.push(path)
    }
  }
  return { gone, opaque: [...opaque.values()] }
}

const pathOf = (name: string) => join('.', name).replace(/\/$/, '')

function marks({ gone, opaque }: Hidden): Readable {
  const tar = pack()
  for (const { name, mode, uid, gid, mtime } of opaque) {
    const attributes = {
      ...(mode === undefined ? {} : { mode }),
      uid: uid ?? 0,
      gid: gid ?? 0,
      ...(mtime ? { mtime } : {}),
    }
    tar.entry({ name, type: 'directory', ...attributes, pax: { [OPAQUE_XATTR]: 'y' } })
  }
  // So overlayfs says that a name is gone.
  for (const name of gone) tar.entry({ name, type: 'character-device', mode: 0, devmajor: 0, devminor: 0 })
  tar.finalize()
  // A stream of node's own, which says that it has ended.
  return tar.pipe(new PassThrough())
}

async function headersOf(layer: string): Promise<Header[]> {
  const headers: Header[] = []
  const tar = extract()
  tar.on('entry', (header, body, next) => {
    headers.push(header)
    body.once('end', next)
    body.resume()
  })
  await pipeline(await opened(layer), tar)
  return headers
}

const GZIP = 0x1f8b

/** containerd compresses it, and names it as if it did not. */
async function opened(layer: string): Promise<Readable> {
  const file = await open(layer)
  const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0).finally(() => file.close())
  const bytes = createReadStream(layer)
  if (buffer.readUInt16BE() !== GZIP) return bytes
  // Whoever reads it hears of errors.
  return pipe(bytes, createGunzip(), () => {})
}
