/** Which mounts are synced, and what is said when the storage does not take it. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { CommandResult } from '../../install/node-commands.ts'
import { createStorage } from './storage.ts'

const POD = { name: 'p', uid: 'aaaaaaaa-0000-4000-8000-000000000000' }
const VOLUMES = `/kubelet/pods/${POD.uid}/volumes`
const FINE = { code: 0, stdout: '', stderr: '' }

let hostRoot: string
let asked: (readonly string[])[]

beforeEach(async () => {
  hostRoot = await mkdtemp(join(tmpdir(), 'podferry-storage-'))
  asked = []
})
afterEach(() => rm(hostRoot, { recursive: true }))

const mounted = (...volumes: string[]) =>
  Promise.all(volumes.map((volume) => mkdir(join(hostRoot, VOLUMES, volume), { recursive: true })))

/** @param elapses whether the patience ends before the answer */
const storage = (answer: Promise<CommandResult>, elapses = false) =>
  createStorage({
    hostRoot,
    kubeletRoot: '/kubelet',
    node: {
      exec(argv) {
        asked.push(argv)
        return answer
      },
    },
    sleep: () => (elapses ? Promise.resolve() : new Promise(() => undefined)),
  })

test("the claims' mounts are synced, those of every plugin, and nothing else", async () => {
  await mounted('kubernetes.io~csi/pv-1/mount', 'kubernetes.io~nfs/pv-2', 'vendor.example~driver/pv-3')
  await mounted('kubernetes.io~empty-dir/a', 'kubernetes.io~projected/b', 'kubernetes.io~secret/c')
  await mounted('kubernetes.io~configmap/d', 'kubernetes.io~downward-api/e')
  await storage(Promise.resolve(FINE)).sync(POD, 1_000)
  const [[program, ...rest] = [], ...more] = asked
  assert.deepEqual([program, rest.slice(0, 2), more], ['sync', ['--file-system', '--'], []])
  const csi = `${VOLUMES}/kubernetes.io~csi/pv-1/mount`
  assert.deepEqual(rest.slice(2).sort(), [
    csi,
    `${VOLUMES}/kubernetes.io~nfs/pv-2`,
    `${VOLUMES}/vendor.example~driver/pv-3`,
  ])
})

test('a pod without claims asks for nothing', async () => {
  await storage(Promise.resolve(FINE)).sync(POD, 1_000)
  await mounted('kubernetes.io~empty-dir/a')
  await storage(Promise.resolve(FINE)).sync(POD, 1_000)
  assert.deepEqual(asked, [])
})

test('what the storage refuses is said in its own words, with a remedy', async () => {
  await mounted('kubernetes.io~nfs/pv')
  const refused = { code: 1, stdout: '', stderr: 'sync: error syncing: Disk quota exceeded\n' }
  await assert.rejects(storage(Promise.resolve(refused)).sync(POD, 1_000), {
    reason: 'VolumeNotSynced',
    message: /pod p .*Disk quota exceeded; see that the storage answers and has room/,
  })
})

test('a storage that does not answer is not waited for, nor is the process that waits for it', async () => {
  await mounted('kubernetes.io~nfs/pv')
  await assert.rejects(storage(new Promise(() => undefined), true).sync(POD, 20_000), {
    reason: 'VolumeNotSynced',
    message: /no answer within 20 s/,
  })
})

test('a UID becomes a path only when it is one', async () => {
  await assert.rejects(storage(Promise.resolve(FINE)).sync({ name: 'p', uid: '../..' }, 1_000), /is no UID/)
})
