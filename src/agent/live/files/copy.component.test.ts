/** Real files on a disk and in memory, copied while they change and once more when they stand still. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  link,
  lutimes,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { packFiles } from './pack.ts'
import { breakOff, copy } from './testing/copy.ts'
import { CANNOT, DISK, MEMORY, startFiles, threeFolders } from './testing/files.ts'
import { unpackFiles } from './unpack.ts'

const MiB = 1024 * 1024
/** Older than level 0's beginning, slack included: without it level 1 would take everything and prove nothing. */
const AGE_MS = 2_100

describe('files of a pod', { skip: CANNOT }, () => {
  const files = CANNOT ? undefined : startFiles()
  const same = async ({ from, to }: { from: string; to: string }) =>
    assert.deepEqual(await files?.list(to), await files?.list(from))

  /** Everything that a file can be. */
  async function furnish(folder: string): Promise<void> {
    const at = (name: string) => join(folder, name)
    await mkdir(at('sub/deep/er'), { recursive: true })
    await writeFile(at('plain'), 'one')
    await writeFile(at('sub/deep/er/last'), randomBytes(70_000))
    await writeFile(at('su'), 'x')
    await chown(at('su'), 1234, 70_000)
    await chmod(at('su'), 0o6755)
    await mkdir(at('sticky'))
    await chmod(at('sticky'), 0o3770)
    await chown(at('sticky'), 65_534, 4_000_000_000)
    await link(at('plain'), at('sub/hard'))
    await symlink('/nowhere/at/all', at('sym'))
    await lutimes(at('sym'), 1_000_000_000.5, 1_000_000_000.5)
    execFileSync('mkfifo', [at('fifo')])
    execFileSync('mknod', [at('whiteout'), 'c', '0', '0'])
    const sparse = await open(at('sparse'), 'w')
    await sparse.write('begin', 0)
    await sparse.write('middle', 20 * MiB)
    await sparse.truncate(40 * MiB)
    await sparse.close()
    const long = `${'n'.repeat(200)}/${'m'.repeat(250)}`
    await mkdir(at('n'.repeat(200)))
    await writeFile(at(long), 'long')
    for (const odd of ['-dash', 'two\nlines', 'back\\slash', 'Ünïcödé', ' blank ', 'tab\t', '*', 'co:lon', '.hidden']) {
      await writeFile(at(odd), odd)
    }
    await mkdir(at('opaque'))
    await files?.set(at('opaque'), 'trusted.overlay.opaque', 'y')
    for (const note of ['origin', 'impure', 'nlink', 'uuid']) {
      await files?.set(at('opaque'), `trusted.overlay.${note}`, 'of this node')
    }
    await files?.set(at('plain'), 'user.note', 'words')
    await files?.set(at('su'), 'security.capability', Buffer.from('0100000200040000000000000000000000000000', 'hex'))
    await files?.set(at('sticky'), 'system.posix_acl_default', ACL)
    await files?.set(at('sub/deep/er/last'), 'system.posix_acl_access', ACL)
  }

  it('arrive with all that they are, and nothing of overlayfs about its own node', async () => {
    await using folders = await threeFolders(DISK)
    await furnish(folders.from)
    await copy(0, folders)
    await same(folders)
    const [there, here] = [await stat(join(folders.to, 'sparse')), await stat(join(folders.from, 'sparse'))]
    assert.equal(there.blocks, here.blocks)
    const opaque = (await files?.list(folders.to))?.opaque
    assert.deepEqual(Object.keys(opaque?.xattrs as object), ['trusted.overlay.opaque'])
    const all = execFileSync('python3', [
      '-c',
      'import os,sys; print(os.listxattr(sys.argv[1]))',
      join(folders.to, 'opaque'),
    ])
    assert.equal(all.toString().trim(), "['trusted.overlay.opaque']")
  })

  it('arrive with what changed after the first copy, and that only', async () => {
    await using folders = await threeFolders(DISK)
    const at = (name: string) => join(folders.from, name)
    await furnish(folders.from)
    await writeFile(at('big'), randomBytes(8 * MiB))
    await mkdir(at('old/tree/of/folders'), { recursive: true })
    await writeFile(at('old/tree/of/file'), 'kept')
    await delay(AGE_MS)
    assert.ok((await copy(0, folders)) > 8 * MiB)

    await writeFile(at('plain'), 'two')
    await rm(at('sub/deep'), { recursive: true })
    await rename(at('old'), at('new'))
    await rm(at('sym'))
    await mkdir(at('sym'))
    await writeFile(at('sym/file'), 'in a folder that was a link')
    await rm(at('opaque'), { recursive: true })
    await writeFile(at('opaque'), 'a file that was a folder')
    await chmod(at('sticky'), 0o2700)
    await files?.unset(at('plain'), 'user.note')
    await files?.set(at('sub'), 'trusted.overlay.opaque', 'y')
    await rename(at('fifo'), at('fifo2'))
    const bytes = await copy(1, folders)
    await same(folders)
    assert.ok(bytes < MiB, `${bytes} bytes`)
    await copy(1, folders)
    await same(folders)
  })

  it('arrive when folders change places, are renamed in chains, and hand on their inodes', async () => {
    await using folders = await threeFolders(DISK)
    const at = (name: string) => join(folders.from, name)
    for (const name of ['a', 'b', 'c', 'd/e/f']) {
      await mkdir(at(name), { recursive: true })
      await writeFile(at(`${name}/file`), name)
    }
    await delay(AGE_MS)
    await copy(0, folders)
    await rename(at('a'), at('tmp'))
    await rename(at('b'), at('a'))
    await rename(at('tmp'), at('b'))
    await rename(at('c'), at('d/e/f/c'))
    await rename(at('d'), at('g'))
    await mkdir(at('d'))
    await rename(at('g/e'), at('d/e'))
    await copy(1, folders)
    await same(folders)
    await copy(1, folders)
    await same(folders)
  })

  it('stay one file with two names when the folder of one of them was moved', async () => {
    await using folders = await threeFolders(DISK)
    const at = (name: string) => join(folders.from, name)
    await mkdir(at('stays/Ü'), { recursive: true })
    await mkdir(at('moves/deep'), { recursive: true })
    await writeFile(at('stays/Ü/file'), 'x')
    await writeFile(at('stays/other'), randomBytes(MiB))
    await link(at('stays/Ü/file'), at('moves/deep/same'))
    await delay(AGE_MS)
    await copy(0, folders)
    await rename(at('moves'), at('moved'))
    assert.ok((await copy(1, folders)) < MiB)
    await same(folders)
  })

  it('arrive when a link to a folder has taken its place', async () => {
    await using folders = await threeFolders(DISK)
    const at = (name: string) => join(folders.from, name)
    await mkdir(at('current/sub'), { recursive: true })
    await writeFile(at('current/sub/file'), 'x')
    await delay(AGE_MS)
    await copy(0, folders)
    await rename(at('current'), at('release'))
    await symlink('release', at('current'))
    await copy(1, folders)
    await same(folders)
  })

  it('arrive when a file and a folder take turns', async () => {
    await using folders = await threeFolders(DISK)
    const it = join(folders.from, 'it')
    await writeFile(it, 'file')
    await copy(0, folders)
    await rm(it)
    await mkdir(join(it, 'sub'), { recursive: true })
    await copy(0, folders)
    await same(folders)
    await rm(it, { recursive: true })
    await writeFile(it, 'file again')
    await copy(1, folders)
    await same(folders)
  })

  it('lose the default ACL of a folder that has lost it', async () => {
    await using folders = await threeFolders(DISK)
    const folder = join(folders.from, 'folder')
    await mkdir(folder)
    await files?.set(folder, 'system.posix_acl_default', ACL)
    await copy(0, folders)
    await same(folders)
    await files?.unset(folder, 'system.posix_acl_default')
    await copy(1, folders)
    await same(folders)
  })

  it('are first copied whole again after a break, deletions too', async () => {
    await using folders = await threeFolders(DISK)
    for (let index = 0; index < 40; index++) await writeFile(join(folders.from, `f${index}`), randomBytes(50_000))
    await breakOff(folders, 900_000)
    await rm(join(folders.from, 'f1'))
    await copy(0, folders)
    await same(folders)
  })

  it('are written through a mapping after the first copy, without a trace but for the write-back before it', async () => {
    await using folders = await threeFolders(DISK)
    const mapped = join(folders.from, 'mapped')
    await writeFile(mapped, Buffer.alloc(MiB))
    await files?.poke(mapped, 5000, 1)
    await delay(AGE_MS)
    await files?.poke(mapped, 5000, 2)
    await copy(0, folders)
    await files?.poke(mapped, 5000, 3)
    await copy(1, folders)
    assert.equal((await readFile(join(folders.to, 'mapped')))[5000], 3)
  })

  it('are written, renamed and removed all along the first copy', async () => {
    await using folders = await threeFolders(DISK)
    const at = (name: string) => join(folders.from, name)
    for (let index = 0; index < 300; index++) {
      await mkdir(at(`d${index}`))
      await writeFile(at(`d${index}/file`), randomBytes(20_000))
    }
    const counter = await open(at('counter'), 'w')
    await delay(AGE_MS)
    let goesOn = true
    let count = 0
    const pod = (async () => {
      for (; goesOn; count++) {
        const [n, m] = [count % 300, (count * 7) % 300]
        await counter.write(String(count), 0)
        await writeFile(at(`temp-${n}`), String(count))
        // Files only: what happens to folders is tried elsewhere.
        await rename(at(`temp-${n}`), at(`d${m}/kept`)).catch(() => {})
        await rm(at(`d${n}/kept`), { force: true })
        if (count % 5 === 0) await rename(at(`d${n}/file`), at(`d${m}/moved`)).catch(() => {})
      }
    })()
    await copy(0, folders)
    goesOn = false
    await pod
    await counter.close()
    assert.ok(count > 20, `only ${count} changes`)
    await copy(1, folders)
    await same(folders)
  })

  /** Tar has noted all names, and waits with the first file until somebody reads on. */
  const midway = async (folders: Awaited<ReturnType<typeof threeFolders>>, pod: () => Promise<void>) => {
    await writeFile(join(folders.from, 'a-first'), randomBytes(4 * MiB))
    await delay(AGE_MS)
    const root = { root: 'volume:data', folder: folders.from, medium: 'disk' as const }
    const { body, done } = packFiles({ root, snapshots: folders.notes, level: 0 })
    while (body.readableLength < MiB) await delay(5)
    await pod()
    await unpackFiles({ folder: folders.to, body, signal: new AbortController().signal })
    await done
  }
  const moves: [sentence: string, during: [from: string, to: string][], after: [from: string, to: string][]][] = [
    ['moved', [['z', 'y']], []],
    ['moved and back', [['z', 'y']], [['y', 'z']]],
    ['moved below another', [['z', 'other/z']], []],
    ['moved with what is below, and back', [['up', 'down']], [['down', 'up']]],
    [
      'exchanged',
      [
        ['z', 'y'],
        ['other', 'z'],
        ['y', 'other'],
      ],
      [],
    ],
  ]
  for (const [sentence, during, afterwards] of moves) {
    it(`are all there when their folder was ${sentence} while tar was about to read it`, async () => {
      await using folders = await threeFolders(DISK)
      const at = (name: string) => join(folders.from, name)
      for (const name of ['z', 'other', 'up/up/up']) {
        await mkdir(at(name), { recursive: true })
        await writeFile(at(`${name}/file`), name)
        await writeFile(at(`${name}/with:colon`), name)
      }
      const move = async (pairs: [string, string][]) => {
        for (const [from, to] of pairs) await rename(at(from), at(to))
      }
      await midway(folders, () => move(during))
      await move(afterwards)
      const bytes = await copy(1, folders)
      await same(folders)
      assert.ok(bytes < MiB, `${bytes} bytes`)
    })
  }

  it('are all sent again when tar said something that is not understood', async () => {
    await using folders = await threeFolders(DISK)
    await mkdir(join(folders.from, 'Ü'))
    await writeFile(join(folders.from, 'Ü/file'), 'x')
    await midway(folders, () => rename(join(folders.from, 'Ü'), join(folders.from, 'Ö')))
    await rename(join(folders.from, 'Ö'), join(folders.from, 'Ü'))
    assert.ok((await copy(1, folders)) > 4 * MiB)
    await same(folders)
  })

  it('are all sent again when the clock was set back', async () => {
    await using folders = await threeFolders(DISK)
    await writeFile(join(folders.from, 'file'), randomBytes(MiB))
    await delay(AGE_MS)
    await copy(0, folders)
    assert.ok((await copy(1, folders)) < MiB)
    const boot = join(folders.notes, 'volume-data.level-0.snar.boot')
    await writeFile(boot, String(Number(await readFile(boot, 'utf8')) + 1_000))
    assert.ok((await copy(1, folders)) > MiB)
  })

  it('lie in memory: nothing is copied ahead, everything afterwards', async () => {
    await using folders = await threeFolders(MEMORY)
    const there = { ...folders, medium: 'memory' as const }
    const mapped = join(folders.from, 'mapped')
    await writeFile(mapped, Buffer.alloc(MiB))
    await files?.poke(mapped, 1, 1)
    assert.equal(await copy(0, there), 1024)
    assert.deepEqual(Object.keys((await files?.list(folders.to)) ?? {}), ['.'])
    await files?.poke(mapped, 1, 2)
    await copy(1, there)
    await same(folders)
    await rm(mapped)
    await writeFile(join(folders.from, 'other'), 'x')
    await copy(1, there)
    await same(folders)
  })

  it('are many and small', async () => {
    await using folders = await threeFolders(DISK)
    for (let folder = 0; folder < 100; folder++) {
      const path = join(folders.from, String(folder))
      await mkdir(path)
      await Promise.all(Array.from({ length: 100 }, (_, file) => writeFile(join(path, String(file)), String(file))))
    }
    await delay(AGE_MS)
    await copy(0, folders)
    await writeFile(join(folders.from, '7/7'), 'changed')
    const began = performance.now()
    const bytes = await copy(1, folders)
    const ms = performance.now() - began
    await same(folders)
    assert.ok(bytes < 400_000, `${bytes} bytes`)
    assert.ok(ms < 5_000, `${ms} ms`)
  })

  it('may be sockets, which stay behind', async () => {
    await using folders = await threeFolders(DISK)
    await using _server = createServer().listen(join(folders.from, 'socket'))
    await writeFile(join(folders.from, 'file'), 'x')
    await copy(0, folders)
    await copy(1, folders)
    await same(folders)
  })
})

describe('a copy', { skip: CANNOT }, () => {
  const signal = new AbortController().signal

  it('whose folder is not there breaks off, and never ends as if it were whole', async () => {
    await using folders = await threeFolders(DISK)
    const nowhere = { root: 'shm', folder: join(folders.from, 'nowhere'), medium: 'memory' as const }
    const { body, done } = packFiles({ root: nowhere, snapshots: folders.notes, level: 1 })
    await assert.rejects(unpackFiles({ folder: folders.to, body, signal }), { reason: 'CopyFailed' })
    await assert.rejects(done, { reason: 'CopyFailed', message: /nowhere/ })
  })

  it('fails when its body breaks off, even between two files, or had done so before', async () => {
    await using folders = await threeFolders(DISK)
    for (const early of [true, false]) {
      const body = new PassThrough()
      if (early) body.on('error', () => {}).destroy(new Error('cut'))
      const unpacked = unpackFiles({ folder: folders.to, body, signal })
      if (!early) setTimeout(() => body.destroy(), 50)
      await assert.rejects(unpacked, early ? /cut/ : /broke off/)
    }
  })

  it('is ended by its signal', async () => {
    await using folders = await threeFolders(DISK)
    const stop = new AbortController()
    const unpacked = unpackFiles({ folder: folders.to, body: new PassThrough(), signal: stop.signal })
    setTimeout(() => stop.abort(new Error('not wanted')), 50)
    await assert.rejects(unpacked, /not wanted/)
  })

  it('puts nothing outside its folder', async () => {
    await using folders = await threeFolders(DISK)
    await writeFile(join(folders.folder, 'secret'), 'as it was')
    const evil = join(folders.from, 'evil.tar')
    await writeFile(join(folders.from, 'file'), 'changed')
    const names = [`--transform=s,file,../secret,`, '-P', '-cf', evil, '-C', folders.from, 'file']
    execFileSync('tar', names)
    const body = new PassThrough()
    body.end(await readFile(evil))
    await unpackFiles({ folder: folders.to, body, signal }).catch(() => {})
    assert.equal(await readFile(join(folders.folder, 'secret'), 'utf8'), 'as it was')
  })
})

/** acl(5) as the kernel keeps it: user::rwx, user:1234:r-x, group::r-x, mask::r-x, other::---. */
const ACL = Buffer.from(
  '02000000' + '01000700ffffffff' + '02000500d2040000' + '04000500ffffffff' + '10000500ffffffff' + '20000000ffffffff',
  'hex',
)
