import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { imagesOf, isUnpacked, layerOf, removeUnpacked, type UnpackedPlace, unpack, unpackedPods } from './unpacked.ts'

const podUID = '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0'
let place: UnpackedPlace
let archive: string
beforeEach(async () => {
  const hostRoot = await mkdtemp(join(tmpdir(), 'podferry-unpacked-'))
  place = { hostRoot, podUID, container: 'main' }
  archive = join(hostRoot, 'data')
  await mkdir(join(hostRoot, 'tree/checkpoint'), { recursive: true })
  for (const name of ['checkpoint/inventory.img', 'checkpoint/pages-1.img', 'rootfs-diff.tar', 'container.log']) {
    await writeFile(join(hostRoot, 'tree', name), name)
  }
})
afterEach(() => rm(place.hostRoot, { recursive: true }))

const packed = () => execFileSync('tar', ['-C', join(place.hostRoot, 'tree'), '-cf', archive, '.'])
const unpacked = () => unpack(place, archive, new AbortController().signal)

test('images and layer are there, the log of the container is not, and all goes', async () => {
  packed()
  await unpacked()
  assert.equal(await isUnpacked(place), true)
  const images = join(place.hostRoot, imagesOf(place))
  assert.equal(await readFile(join(images, 'pages-1.img'), 'utf8'), 'checkpoint/pages-1.img')
  assert.equal(await readFile((await layerOf(place)) ?? '', 'utf8'), 'rootfs-diff.tar')
  await assert.rejects(readFile(join(images, '../container.log')))
  assert.deepEqual(await unpackedPods(place.hostRoot), [podUID])
  await removeUnpacked(place.hostRoot, podUID)
  assert.deepEqual(await unpackedPods(place.hostRoot), [])
})

const DAMAGES: [string, RegExp, () => Promise<void>][] = [
  [
    'a link',
    /pages-1.img is neither a file nor a folder/,
    async () => {
      await rm(join(place.hostRoot, 'tree/checkpoint/pages-1.img'))
      await symlink('/etc/shadow', join(place.hostRoot, 'tree/checkpoint/pages-1.img'))
      packed()
    },
  ],
  [
    'no inventory',
    /inventory.img/,
    async () => {
      await rm(join(place.hostRoot, 'tree/checkpoint/inventory.img'))
      packed()
    },
  ],
  ['no tar', /tar ended with 2/, () => writeFile(archive, 'x'.repeat(2000))],
]
for (const [sentence, words, damage] of DAMAGES) {
  test(`an archive with ${sentence} is refused, and nothing of it stays`, async () => {
    await damage()
    await assert.rejects(unpacked(), (error: Error & { reason: string }) => {
      assert.equal(error.reason, 'CheckpointUnreadable')
      assert.match(error.message, words)
      return true
    })
    assert.equal(await isUnpacked(place), false)
  })
}

test('names that are none become no paths', async () => {
  assert.throws(() => imagesOf({ ...place, podUID: '../..' }))
  assert.throws(() => imagesOf({ ...place, container: '..' }))
})
