import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findOverlay, hasAbsoluteLayers, isMounted, lowerLayers } from './mounts.ts'

const TABLE = `proc /proc proc rw,nosuid 0 0
overlay /run/a/rootfs overlay rw,nodev,relatime,lowerdir=/s/1/fs:/s/2/fs,upperdir=/s/3/fs,workdir=/s/3/work,nouserxattr 0 0
overlay /run/b\\040c/rootfs overlay rw,lowerdir=1/fs:2/fs,upperdir=/s/4/fs,workdir=/s/4/work,index=off 0 0
overlay /run/ro/rootfs overlay ro,lowerdir=/s/1/fs:/s/2/fs 0 0
tmpfs /run/a/rootfs/dev tmpfs rw 0 0
`

describe('findOverlay', () => {
  it('finds the overlay, and options that mount(8) takes', () => {
    const options = ['rw', 'nodev', 'relatime', 'lowerdir=/s/1/fs:/s/2/fs', 'upperdir=/s/3/fs', 'workdir=/s/3/work']
    assert.deepEqual(findOverlay(TABLE, '/run/a/rootfs'), { target: '/run/a/rootfs', options, upper: '/s/3/fs' })
  })
  it('reads names that the kernel has written as numbers', () => {
    const found = findOverlay(TABLE, '/run/b c/rootfs')
    assert.equal(found?.upper, '/s/4/fs')
    assert.equal(found && hasAbsoluteLayers(found), false)
    assert.deepEqual(lowerLayers(found?.options ?? []), ['1/fs', '2/fs'])
  })
  for (const target of ['/run/a', '/run/a/rootfs/dev', '/run/ro/rootfs', '/proc']) {
    it(`finds no writable overlay at ${target}`, () => assert.equal(findOverlay(TABLE, target), undefined))
  }
  it('knows what is mounted at all', () => {
    assert.deepEqual(
      ['/proc', '/run/b c/rootfs', '/run'].map((place) => isMounted(TABLE, place)),
      [true, true, false],
    )
  })
})
