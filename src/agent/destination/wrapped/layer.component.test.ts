/** A layer as containerd writes it, put into a real overlay's upper folder. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import { createGzip } from 'node:zlib'
import { pack } from 'tar-stream'
import { applyLayer } from './layer.ts'

let root: string
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-layer-'))
  // The machine's own root may be an overlay, on which no other can have its upper folder.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', root])
})
after(async () => {
  execFileSync('umount', ['--recursive', '--lazy', root])
  await rm(root, { recursive: true })
})

test('what was changed, added, deleted and made anew is so in the overlay; a second time changes nothing', async () => {
  const at = (...path: string[]) => join(root, ...path)
  for (const folder of ['lower/kept', 'lower/anew', 'lower/opaque', 'upper', 'work', 'merged']) {
    await mkdir(at(folder), { recursive: true })
  }
  for (const file of ['changed', 'deleted', 'kept/deleted', 'kept/stays', 'anew/old', 'opaque/old', 'file-anew']) {
    await writeFile(at('lower', file), 'of the image')
  }
  const tar = pack()
  const written = pipeline(tar, createGzip(), createWriteStream(at('rootfs-diff.tar')))
  const folder = { type: 'directory', mode: 0o750, uid: 3, gid: 4, mtime: new Date(1_700_000_000_000) } as const
  for (const name of ['.wh.deleted', '.wh.anew', '.wh.file-anew']) tar.entry({ name }, '')
  tar.entry({ name: 'anew/', ...folder })
  tar.entry({ name: 'anew/new' }, 'of the container')
  tar.entry({ name: 'changed', mode: 0o4755, uid: 5 }, 'of the container')
  tar.entry({ name: 'file-anew' }, 'of the container')
  tar.entry({ name: 'kept/', ...folder })
  tar.entry({ name: 'kept/.wh.deleted' }, '')
  tar.entry({ name: 'opaque/', ...folder })
  tar.entry({ name: 'opaque/.wh..wh..opq' }, '')
  tar.finalize()
  await written

  for (let time = 0; time < 2; time++) {
    await applyLayer(at('rootfs-diff.tar'), at('upper'), AbortSignal.timeout(30_000))
    const options = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`
    execFileSync('mount', ['-t', 'overlay', '-o', options, 'overlay', at('merged')])
    assert.deepEqual((await readdir(at('merged'), { recursive: true })).sort(), [
      ...['anew', 'anew/new', 'changed', 'file-anew', 'kept', 'kept/stays', 'opaque'],
    ])
    assert.equal(await readFile(at('merged/changed'), 'utf8'), 'of the container')
    const { mode, uid } = await stat(at('merged/changed'))
    assert.deepEqual([mode & 0o7777, uid], [0o4755, 5])
    for (const name of ['anew', 'kept', 'opaque']) {
      const found = await stat(at('merged', name))
      assert.deepEqual(
        [found.mode & 0o7777, found.uid, found.gid, found.mtimeMs],
        [0o750, 3, 4, 1_700_000_000_000],
        name,
      )
    }
    execFileSync('umount', [at('merged')])
  }
})

test('a damaged layer is none', async () => {
  await writeFile(join(root, 'damaged'), Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(99)]))
  await mkdir(join(root, 'empty'))
  await assert.rejects(applyLayer(join(root, 'damaged'), join(root, 'empty'), AbortSignal.timeout(30_000)))
})
