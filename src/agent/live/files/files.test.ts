/** Real tar on real folders: what leaves by pack must arrive by unpack, whatever happens to the files between the levels. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { packFiles } from './pack.ts'
import { isFileRoot, type SourceRoot, upperFolder } from './roots.ts'
import { unpackFiles } from './unpack.ts'

const NEVER = new AbortController().signal
/** Not the temporary folder: that may be a tmpfs. */
const SCRATCH = '/var/tmp'

interface Sides {
  from: string
  to: string
  send(level: 0 | 1): Promise<void>
}

async function withSides(run: (sides: Sides) => Promise<void>, medium: SourceRoot['medium'] = 'disk'): Promise<void> {
  const folder = await mkdtemp(join(SCRATCH, 'podferry-files-'))
  const [from, to, snapshots] = ['from', 'to', 'snapshots'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [from, to, snapshots]) await mkdir(path)
  const root: SourceRoot = { root: 'layer:main', folder: from, medium }
  const once = async (level: 0 | 1) => {
    const { body, done } = packFiles({ root, snapshots, level })
    await Promise.all([unpackFiles({ folder: to, body, signal: NEVER }), done])
  }
  // As the source agent does: what fails is sent again.
  const send = (level: 0 | 1) => once(level).catch(() => once(level))
  try {
    await run({ from, to, send })
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Path → everything that a program could see of it. */
async function listing(folder: string, path = '.'): Promise<Record<string, string>> {
  const here = join(folder, path)
  const { mode, uid, gid, size, nlink, mtimeMs, rdev } = await lstat(here)
  const kind = mode & 0o170000
  const isFolder = kind === 0o040000
  const content =
    kind === 0o100000
      ? createHash('md5')
          .update(await readFile(here))
          .digest('hex')
      : kind === 0o120000
        ? await readlink(here)
        : ''
  const seen = {
    [path]: [mode.toString(8), uid, gid, isFolder ? '' : `${size} ${nlink} ${Math.floor(mtimeMs)}`, rdev, content].join(
      ' ',
    ),
  }
  if (!isFolder) return seen
  const below = await Promise.all((await readdir(here)).sort().map((name) => listing(folder, join(path, name))))
  return Object.assign(seen, ...below)
}

const same = async ({ from, to }: Sides) => assert.deepEqual(await listing(to), await listing(from))

const xattr = (path: string, name: string, value?: string) =>
  execFileSync('python3', [
    '-c',
    'import os,sys\nif len(sys.argv) > 3: os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())\nelse: print(sys.argv[2] in os.listxattr(sys.argv[1]), end="")',
    ...[path, name, ...(value === undefined ? [] : [value])],
  ]).toString()

test(
  'every kind of file arrives, and every kind of change after it',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  () =>
    withSides(async (sides) => {
      const { from, to, send } = sides
      const at = (path: string) => join(from, path)
      await mkdir(at('folder/deep'), { recursive: true })
      await writeFile(at('changed'), 'one')
      await writeFile(at('gone'), 'x')
      await writeFile(at('folder/deep/file'), 'y')
      await writeFile(at('setuid'), 'z', { mode: 0o755 })
      await chmod(at('setuid'), 0o4755)
      await link(at('changed'), at('hard'))
      await symlink('nowhere', at('link'))
      await writeFile(at('sparse'), '')
      await truncate(at('sparse'), 32 << 20)
      execFileSync('mkfifo', [at('fifo')])
      execFileSync('mknod', [at('whiteout'), 'c', '0', '0'])
      execFileSync('chown', ['12345:54321', at('changed')])
      await mkdir(at('becomes-a-file'))
      await writeFile(at('becomes-a-folder'), '')
      xattr(at('folder'), 'trusted.overlay.opaque', 'y')
      xattr(at('folder'), 'trusted.overlay.origin', 'of another node')
      await send(0)
      await same(sides)
      assert.ok((await stat(join(to, 'sparse'))).blocks < 100, 'holes stay holes')
      assert.equal(xattr(join(to, 'folder'), 'trusted.overlay.opaque'), 'True')
      assert.equal(xattr(join(to, 'folder'), 'trusted.overlay.origin'), 'False')

      await writeFile(at('changed'), 'two')
      await rm(at('gone'))
      await rename(at('folder/deep'), at('folder/moved'))
      await chmod(at('folder'), 0o2750)
      await rm(at('becomes-a-file'), { recursive: true })
      await writeFile(at('becomes-a-file'), 'file')
      await rm(at('becomes-a-folder'))
      await mkdir(at('becomes-a-folder/below'), { recursive: true })
      await rm(at('whiteout'))
      await send(1)
      await same(sides)
      // A delivery that broke off is sent again.
      await send(1)
      await same(sides)
    }),
)

test('a file that was written in the very moments of level 0 arrives by level 1', () =>
  withSides(async (sides) => {
    for (let round = 0; round < 5; round++) {
      const path = join(sides.from, `hammered-${round}`)
      let writing = true
      const hammer = (async () => {
        for (let n = 0; writing; n++) await writeFile(path, String(n % 10))
      })()
      await sides.send(0)
      writing = false
      await hammer
      await sides.send(1)
      await same(sides)
    }
  }))

test('what lies in memory is taken whole, once nothing runs', () =>
  withSides(async (sides) => {
    await writeFile(join(sides.from, 'file'), 'x')
    await sides.send(0)
    assert.deepEqual(await readdir(sides.to), [])
    await sides.send(1)
    await same(sides)
  }, 'memory'))

test('an archive that breaks off is never taken for a short one', () =>
  withSides(async ({ from, to }) => {
    await writeFile(join(from, 'big'), Buffer.alloc(4 << 20, 'x'))
    const { body } = packFiles({
      root: { root: 'layer:main', folder: from, medium: 'memory' },
      snapshots: from,
      level: 1,
    })
    const broken = Readable.from(
      (async function* () {
        for await (const chunk of body) {
          yield chunk
          throw new Error('the link was cut')
        }
      })(),
    )
    await assert.rejects(unpackFiles({ folder: to, body: broken, signal: NEVER }))
  }))

const names = fc.constantFrom('a', 'b', 'c', 'd/e', 'd/f', 'd/g/h')
const operation = fc.oneof(
  fc.record({ do: fc.constant('write' as const), name: names, text: fc.string({ maxLength: 20 }) }),
  fc.record({ do: fc.constant('remove' as const), name: fc.oneof(names, fc.constant('d')) }),
  fc.record({ do: fc.constant('rename' as const), name: names, to: names }),
  fc.record({ do: fc.constant('mode' as const), name: names, mode: fc.constantFrom(0o600, 0o755, 0o444) }),
)
type Operation = (typeof operation extends fc.Arbitrary<infer T> ? T : never) & object

async function apply(from: string, step: Operation): Promise<void> {
  const path = join(from, step.name)
  const attempt = async () => {
    if (step.do === 'write') {
      await mkdir(join(path, '..'), { recursive: true })
      await writeFile(path, step.text)
    } else if (step.do === 'remove') await rm(path, { recursive: true, force: true })
    else if (step.do === 'rename') await rename(path, join(from, step.to))
    else await chmod(path, step.mode)
  }
  // What is not there can't be changed.
  await attempt().catch(() => {})
}

test('after any changes before and after level 0 both trees are the same', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 12 }),
      fc.array(operation, { maxLength: 12 }),
      (before, between) =>
        withSides(async (sides) => {
          for (const step of before) await apply(sides.from, step)
          await sides.send(0)
          for (const step of between) await apply(sides.from, step)
          await sides.send(1)
          await same(sides)
        }),
    ),
    { numRuns: 25 },
  ))

test('the upper folder of a root is found, whatever characters are in its path', () => {
  const root =
    '812 700 0:93 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l/1:/l/2,upperdir=/var/lib/a\\040b\\,c/fs,workdir=/w'
  assert.throws(() => upperFolder('1 2 0:1 / / rw - ext4 /dev/sda rw', 'main'), { reason: 'SnapshotterNotSupported' })
  assert.equal(
    upperFolder(`1 2 0:1 / /proc rw - proc proc rw\n${root.replace('\\,', '-')}`, 'main'),
    '/var/lib/a b-c/fs',
  )
})

test('only labels are names of file roots', () => {
  for (const root of ['layer:main', 'volume:data-1', 'shm']) assert.ok(isFileRoot(root))
  for (const root of ['layer:', 'layer:../x', 'volume:a/b', 'shm2', 'layer:A', '']) assert.ok(!isFileRoot(root))
})
