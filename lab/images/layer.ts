/** Image layers: a list of what goes in, laid out as a reproducible tar stream. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'
import { run } from '../run.ts'
import { LIBRARY_FOLDER, LOADER_PATH, withTreeLoader } from '../tree-programs.ts'

/** `from` is a host path, `to` the absolute path in the image. */
export type Item =
  | { kind: 'file'; from: string; to: string }
  /** A dynamic program, or a library that is loaded at run time, with the libraries it needs, of the Debian tree or another one. */
  | { kind: 'program'; from: string; to: string; tree?: string }
  | { kind: 'folder'; from: string; to: string; skip?: readonly string[] }
  | { kind: 'link'; target: string; to: string }
  | { kind: 'text'; content: string; to: string }

export interface Layer {
  items: readonly Item[]
  /** Changes whenever the items' contents do, e.g. a package lock's digest. */
  contentKey: string
}

/** @returns what tells whether a layer must be built again. */
export function layerKey(layer: Layer): string {
  return createHash('sha256').update(JSON.stringify(layer)).digest('hex')
}

type Entry = { from: string } | { content: string } | { target: string }

/** @returns the layer as an uncompressed tar stream: sorted, times 0, root's, so that equal items give equal digests. */
export async function* layerTar(layer: Layer): AsyncIterable<Uint8Array> {
  const entries = new Map<string, Entry>()
  for (const item of layer.items) await expand(item, entries)
  const tar = pack()
  const writing = writeEntries(tar, entries)
  // The consumer sees the failure as the stream's own; this only keeps it from counting as unhandled.
  writing.catch((error: Error) => tar.destroy(error))
  yield* tar as AsyncIterable<Uint8Array>
  await writing
}

async function expand(item: Item, entries: Map<string, Entry>): Promise<void> {
  switch (item.kind) {
    case 'file':
      entries.set(item.to, { from: item.from })
      return
    case 'text':
      entries.set(item.to, { content: item.content })
      return
    case 'link':
      entries.set(item.to, { target: item.target })
      return
    case 'program':
      entries.set(item.to, { from: item.from })
      for (const [to, from] of await libraries(item.from, item.tree)) entries.set(to, { from })
      return
    case 'folder':
      for (const name of (await readdir(item.from)).sort()) {
        if (item.skip?.includes(name)) continue
        const from = join(item.from, name)
        const to = posix.join(item.to, name)
        const found = await lstat(from)
        if (found.isSymbolicLink()) entries.set(to, { target: await readlink(from) })
        else if (found.isDirectory()) await expand({ ...item, from, to }, entries)
        else if (found.isFile()) entries.set(to, { from })
      }
  }
}

/** @returns image path → host path of the loader and libraries that the tree gives a program. */
async function libraries(program: string, tree?: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const line of (await run(withTreeLoader(['--list', program], tree))).split('\n')) {
    const [, name = '', from = ''] = /^\s*(\S+) => (\S+) \(/.exec(line) ?? []
    if (from === '') continue
    found.set(name === LOADER_PATH ? LOADER_PATH : posix.join(LIBRARY_FOLDER, posix.basename(name)), from)
  }
  return found
}

async function writeEntries(tar: Pack, entries: Map<string, Entry>): Promise<void> {
  const folders = new Set<string>()
  const common = { mtime: new Date(0), uid: 0, gid: 0 }
  const addFolder = (path: string) => {
    if (path === '/' || folders.has(path)) return
    addFolder(posix.dirname(path))
    folders.add(path)
    const mode = path === '/tmp' || path === '/data' ? 0o1777 : 0o755
    tar.entry({ ...common, name: `${path.slice(1)}/`, type: 'directory', mode })
  }
  for (const path of ['/tmp', '/proc', '/sys', '/dev', '/etc', '/run', '/root', '/data']) addFolder(path)
  for (const path of [...entries.keys()].sort()) {
    const entry = entries.get(path)
    if (entry === undefined) continue
    addFolder(posix.dirname(path))
    const name = path.slice(1)
    if ('target' in entry) tar.entry({ ...common, name, type: 'symlink', linkname: entry.target })
    else if ('content' in entry) tar.entry({ ...common, name, mode: 0o644 }, entry.content)
    else {
      const { size, mode } = await stat(entry.from)
      await pipeline(createReadStream(entry.from), tar.entry({ ...common, name, size, mode: mode & 0o755 }))
    }
  }
  tar.finalize()
}
