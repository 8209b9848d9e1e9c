import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { containerFolder, createPlaces, snapshotsFolder, statusFile, workFolder } from './places.ts'

const UID = 'aaaaaaaa-0000-4000-8000-000000000000'
let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-places-'))
})
afterEach(() => rm(root, { recursive: true }))

const NO_MOUNTS = { node: { exec: () => Promise.reject(new Error('not here')) }, mounts: async () => '' }

test('folders are made for root alone, anew each time, and go whole', async () => {
  const places = createPlaces(root, NO_MOUNTS)
  assert.deepEqual(await places.containers(UID), [])
  await places.make(UID, ['c', 'd'])
  const folder = containerFolder(UID, 'c')
  assert.equal((await stat(join(root, folder))).mode & 0o777, 0o700)
  assert.deepEqual((await readdir(join(root, folder))).sort(), ['image', 'work'])
  assert.equal((await stat(join(root, snapshotsFolder(UID)))).mode & 0o777, 0o700)
  assert.deepEqual(await places.containers(UID), ['c', 'd'])
  await writeFile(join(root, folder, 'old'), '')
  await places.make(UID, ['c'])
  assert.deepEqual(await places.containers(UID), ['c'])
  assert.deepEqual((await readdir(join(root, folder))).sort(), ['image', 'work'])
  await places.remove(UID)
  assert.deepEqual(await readdir(join(root, '/run/podferry/live')), [])
})

test('pages can be had when the byte is there', async () => {
  const places = createPlaces(root, NO_MOUNTS)
  await places.make(UID, ['c'])
  const folder = containerFolder(UID, 'c')
  assert.equal(await places.isServing(folder), false)
  await writeFile(join(root, statusFile(folder)), '')
  assert.equal(await places.isServing(folder), false)
  await writeFile(join(root, statusFile(folder)), '\0')
  assert.equal(await places.isServing(folder), true)
})

test("what CRIU and runc have said is found, runc's last words only", async () => {
  const places = createPlaces(root, NO_MOUNTS)
  await places.make(UID, ['c'])
  const folder = containerFolder(UID, 'c')
  assert.deepEqual(await places.said(folder), { criuLog: [], runc: '' })
  await writeFile(join(root, workFolder(folder), 'dump.log'), '(00.1) Warn (x)\n(00.2) Error (criu/a.c:1): b\n')
  await writeFile(join(root, folder, 'dump.log'), `${'x'.repeat(5_000)}\ncriu failed\n`)
  const said = await places.said(folder)
  assert.deepEqual(said.criuLog, ['(00.2) Error (criu/a.c:1): b'])
  assert.equal(said.runc, 'criu failed')
})

test('free ports are each another', async () => {
  const ports = await createPlaces(root, NO_MOUNTS).freePorts(5)
  assert.equal(new Set(ports).size, 5)
  assert.ok(ports.every((port) => port > 1_023))
})

test('a name that would lead elsewhere is no folder', () => {
  assert.throws(() => containerFolder('../x', 'c'), /no name/)
  for (const name of ['..', '.snapshots', 'a/b', '', 'A']) assert.throws(() => containerFolder(UID, name), /no name/)
})
