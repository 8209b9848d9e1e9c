/** What the source side reads from and removes on a node, on a scratch root. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { archivesOf, removeArchives } from './archives.ts'
import { checkDisk } from './disk.ts'
import { dumpEnded, isDumpRunning } from './dump-processes.ts'
import type { SourceEntry } from './entry.ts'
import { removeScraps } from './scraps.ts'

const ID = 'c'.repeat(64)
let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-node-'))
  for (const folder of ['proc', 'tmp', 'var/lib/kubelet/checkpoints'])
    await mkdir(join(root, folder), { recursive: true })
})
afterEach(() => rm(root, { recursive: true }))

async function running(pid: number, comm: string, argv: string[], cwd = '/', open: string[] = []): Promise<void> {
  const folder = join(root, 'proc', String(pid))
  await mkdir(join(folder, 'fd'), { recursive: true })
  await writeFile(join(folder, 'comm'), `${comm}\n`)
  await writeFile(join(folder, 'cmdline'), argv.join('\0'))
  await symlink(cwd, join(folder, 'cwd'))
  for (const [fd, target] of open.entries()) await symlink(target, join(folder, 'fd', String(fd)))
}

const work = `/var/lib/containerd/io.containerd.grpc.v1.cri/containers/${ID}/ctrd-checkpoint`
const dumps: Record<string, () => Promise<void>> = {
  'a runc that checkpoints it': () => running(7, 'runc', ['runc', '--root', '/x', 'checkpoint', '--leave-running', ID]),
  'a CRIU that has renamed itself, in its work folder': () => running(7, 'criu', ['criu: dump --rpc -t 2975'], work),
  'the same with the folder deleted under it': () => running(7, 'criu', ['criu: dump'], `${work} (deleted)`),
  'a CRIU with its log open there': () => running(7, 'criu', ['criu', 'swrk', '3'], '/', [`${work}/dump.log`]),
}
for (const [name, start] of Object.entries(dumps)) {
  test(`${name} is a dump of the container`, async () => {
    await start()
    assert.equal(await isDumpRunning(root, ID), true)
    assert.equal(await isDumpRunning(root, 'd'.repeat(64)), false)
    const ended = dumpEnded(root, ID)
    await rm(join(root, 'proc/7'), { recursive: true })
    await ended
  })
}

test('other processes of the container are no dump', async () => {
  await running(7, 'runc', ['runc', 'exec', ID])
  await running(8, 'containerd-shim', ['containerd-shim-runc-v2', '-id', ID], '/', [work])
  await running(9, 'criu', ['criu: restore'], '/elsewhere')
  assert.equal(await isDumpRunning(root, ID), false)
})

test('only the archives of this very container are seen, and of those only our own removed', async () => {
  const folder = '/var/lib/kubelet/checkpoints'
  const name = (pod: string, container: string, second: number) =>
    `checkpoint-${pod}_ns-${container}-2026-01-01T00:00:0${second}+08:00.tar`
  const others = [name('pod', 'main-2', 1), name('pod-2', 'main', 1), 'checkpoint-pod_ns-main-extra.tar', 'x.tar']
  for (const other of [...others, name('pod', 'main', 1), name('pod', 'main', 2)]) {
    await writeFile(join(root, folder, other), '')
  }
  const of = { namespace: 'ns', pod: 'pod', container: 'main' }
  const found = await archivesOf(root, folder, of)
  assert.deepEqual(
    found.sort(),
    [1, 2].map((second) => join(folder, name('pod', 'main', second))),
  )
  const foreignArchives = [join(folder, name('pod', 'main', 1))]
  const entry = {
    namespace: 'ns',
    pod: { name: 'pod', uid: 'u' },
    container: { name: 'main', id: ID },
    foreignArchives,
  }
  await removeArchives(root, folder, { ...entry, archives: [] } as unknown as SourceEntry)
  assert.deepEqual((await readdir(join(root, folder))).sort(), [...others, name('pod', 'main', 1)].sort())
})

test('images of a cancelled dump go; those of others, older or in use, stay', async () => {
  await mkdir(join(root, 'tmp/ctrd-checkpoint1'))
  await new Promise((resolve) => setTimeout(resolve, 20))
  const since = Date.now()
  await new Promise((resolve) => setTimeout(resolve, 20))
  for (const name of ['ctrd-checkpoint2', 'ctrd-checkpoint3', 'ctrd-checkpoint', 'mine'])
    await mkdir(join(root, 'tmp', name))
  await writeFile(join(root, 'tmp/ctrd-checkpoint2/pages-1.img'), 'memory')
  await running(5, 'containerd', ['containerd'], '/', ['/tmp/ctrd-checkpoint3/pages-1.img'])
  await removeScraps(root, since)
  assert.deepEqual((await readdir(join(root, 'tmp'))).sort(), [
    'ctrd-checkpoint',
    'ctrd-checkpoint1',
    'ctrd-checkpoint3',
    'mine',
  ])
})

test('a disk that is too small is named with what is needed and what is free', async () => {
  await checkDisk(root, '/var/lib/kubelet', 1)
  await assert.rejects(checkDisk(root, '/var/lib/kubelet', 2 ** 50), (error: Error & { reason?: string }) => {
    assert.equal(error.reason, 'DiskTooSmall')
    assert.match(error.message, /\/tmp, \/var\/lib.* writes it 4 time\(s\).*needs \d+ MiB, free are \d+ MiB/)
    return true
  })
})
