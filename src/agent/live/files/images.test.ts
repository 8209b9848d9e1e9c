import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { pack } from 'tar-stream'
import { packImages, unpackImages } from './images.ts'

let scratch: string
let from: string
let to: string
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'podferry-images-'))
  ;[from, to] = [join(scratch, 'from'), join(scratch, 'to')]
  await Promise.all([mkdir(from), mkdir(to)])
})
afterEach(() => rm(scratch, { recursive: true }))

const signal = new AbortController().signal

test('arrive as they are, large and small and empty, for root only', async () => {
  const files: Record<string, Buffer> = {
    'pages-1.img': randomBytes(3 << 20),
    'core-1.img': Buffer.from('x'),
    'inventory.img': Buffer.alloc(0),
    'descriptors.json': Buffer.from('[]'),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(from, name), content, { mode: 0o644 })
  const { body, done } = packImages(from)
  const { bytes } = await unpackImages({ folder: to, body, signal })
  await done
  assert.ok(bytes > 3 << 20)
  assert.deepEqual((await readdir(to)).sort(), Object.keys(files).sort())
  for (const [name, content] of Object.entries(files)) {
    assert.ok(content.equals(await readFile(join(to, name))), name)
    assert.equal((await stat(join(to, name))).mode & 0o777, 0o600)
  }
})

test('a folder that cannot be read breaks off, and never ends as if it were whole', async () => {
  const { body, done } = packImages(join(scratch, 'nowhere'))
  await assert.rejects(unpackImages({ folder: to, body, signal }), { reason: 'CopyFailed' })
  await assert.rejects(done, { reason: 'CopyFailed', message: /nowhere/ })
})

test('what is no image is neither sent nor taken', async () => {
  await symlink('/etc/passwd', join(from, 'core-1.img'))
  await mkdir(join(from, 'folder'))
  await assert.rejects(packImages(from).done, { reason: 'CopyFailed' })
  for (const header of [
    { name: '../escape' },
    { name: '/absolute' },
    { name: 'a/b' },
    { name: 'link', type: 'symlink', linkname: '/etc/passwd' },
  ] as const) {
    const tar = pack()
    if ('type' in header) tar.entry(header)
    else tar.entry(header, 'x')
    tar.finalize()
    await assert.rejects(unpackImages({ folder: to, body: tar as unknown as Readable, signal }), {
      reason: 'CopyFailed',
    })
  }
  assert.deepEqual(await readdir(to), [])
  assert.deepEqual((await readdir(scratch)).sort(), ['from', 'to'])
})

test('an archive that breaks off at any byte is never taken for a whole one', async () => {
  await writeFile(join(from, 'a.img'), 'x'.repeat(700))
  await writeFile(join(from, 'b.img'), 'y')
  const whole = await buffer(packImages(from).body)
  for (let length = 0; length < whole.length; length += 256) {
    const body = new PassThrough()
    body.write(whole.subarray(0, length))
    setImmediate(() => body.destroy(new Error('cut')))
    await assert.rejects(unpackImages({ folder: to, body, signal }), /cut/)
    for (const name of await readdir(to)) await rm(join(to, name))
  }
})

test('is ended by its signal', async () => {
  const stop = new AbortController()
  const taken = unpackImages({ folder: to, body: new PassThrough(), signal: stop.signal })
  stop.abort(new Error('nobody wants it'))
  await assert.rejects(taken, /nobody wants it/)
})
