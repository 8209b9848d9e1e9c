import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import fc from 'fast-check'
import { isFileRoot, isNeeded, sourceRoots, upperFolder } from './roots.ts'

const mountinfo = (options: string, type = 'overlay') => `\
636 521 0:61 / / rw,relatime master:188 shared:3 - ${type} overlay rw,${options}
637 636 0:64 / /proc rw,nosuid - proc proc rw
638 636 0:65 / /dev rw,nosuid - overlay overlay rw,upperdir=/not/this
`
const OPTIONS = 'lowerdir=/snap/1/fs,upperdir=/snap/2/fs,workdir=/snap/2/work,uuid=on'

describe('the upper folder of a container', () => {
  it('is that of its root', () => assert.equal(upperFolder(mountinfo(OPTIONS), 'main'), '/snap/2/fs'))
  it('may hold blanks and commas', () =>
    assert.equal(upperFolder(mountinfo('lowerdir=/l,upperdir=/a\\040b\\134,c'), 'main'), '/a b,c'))
  for (const [sentence, text] of [
    ['another file system', mountinfo('subvol=x', 'btrfs')],
    ['an overlay that can only be read', mountinfo('lowerdir=/a:/b')],
    ['nothing', ''],
  ] as const) {
    it(`is not there when the root is ${sentence}`, () =>
      assert.throws(() => upperFolder(text, 'main'), { reason: 'SnapshotterNotSupported', message: /main/ }))
  }
})

describe('the folders of a pod', () => {
  let host = ''
  const UID = '5f2a1c3e-0000-4000-8000-000000000001'
  const volumes = () => join(host, 'var/lib/kubelet/pods', UID, 'volumes/kubernetes.io~empty-dir')
  before(async () => {
    host = await mkdtemp(join(tmpdir(), 'podferry-roots-'))
    await mkdir(join(host, 'snap/2/fs'), { recursive: true })
    await mkdir(join(host, 'proc/42/root/dev/shm'), { recursive: true })
    await writeFile(join(host, 'proc/42/mountinfo'), mountinfo(OPTIONS))
  })
  after(() => rm(host, { recursive: true }))
  const roots = () => sourceRoots(host, '/var/lib/kubelet', { uid: UID, containers: [{ name: 'main', pid: 42 }] })

  it('are its writable layers, when it has no volume', async () => {
    const layer = { root: 'layer:main', folder: join(host, 'snap/2/fs'), medium: 'disk' }
    // /dev/shm is no tmpfs here, so it belongs to the layer.
    assert.deepEqual(await roots(), [layer])
  })

  it('are its emptyDirs too', async () => {
    await mkdir(join(volumes(), 'data'), { recursive: true })
    assert.deepEqual((await roots())[1], { root: 'volume:data', folder: join(volumes(), 'data'), medium: 'disk' })
  })

  it('have names that may become paths', async () => {
    await mkdir(join(volumes(), 'No Label'), { recursive: true })
    await assert.rejects(roots(), /no name of a container or volume/)
  })
})

describe('isFileRoot', () => {
  for (const good of ['shm', 'layer:main', 'volume:a-1']) it(`takes ${good}`, () => assert.ok(isFileRoot(good)))
  for (const bad of ['', 'shm:', 'layer:', 'layer:..', 'volume:a/b', 'volume:A', 'other:a', 'layer:a\n', 'layer:a:b']) {
    it(`refuses ${JSON.stringify(bad)}`, () => assert.ok(!isFileRoot(bad)))
  }
  it('takes nothing that is more than a name', () =>
    fc.assert(fc.property(fc.string(), (text) => !isFileRoot(`layer:${text}`) || /^[-a-z0-9]{1,63}$/.test(text))))
})

test('shared memory that nobody has touched stays behind, everything else travels', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'podferry-shm-'))
  try {
    await chmod(folder, 0o1777)
    const shm = { root: 'shm', folder, medium: 'memory' } as const
    assert.equal(await isNeeded(shm), false)
    assert.equal(await isNeeded({ ...shm, root: 'volume:cache' }), true)
    await chmod(folder, 0o1770)
    assert.equal(await isNeeded(shm), true)
    await chmod(folder, 0o1777)
    await writeFile(join(folder, 'segment'), '')
    assert.equal(await isNeeded(shm), true)
  } finally {
    await rm(folder, { recursive: true })
  }
})
