import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { install } from '../../agent/install/install.ts'
import { WRAPPER } from '../../agent/install/programs.ts'
import { uninstallNodeCommand } from './uninstall-node.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-uninstall-node-'))
})
afterEach(() => rm(root, { recursive: true }))

const put = async (path: string, content: string) => {
  await mkdir(join(root, path, '..'), { recursive: true })
  await writeFile(join(root, path), content)
}
const cleanUp = (...args: string[]) =>
  uninstallNodeCommand().parseAsync(['--host-root', root, ...args], { from: 'user' })
const everything = async () => (await readdir(root, { recursive: true })).sort()

test('a node on which podferry was installed is as before', async () => {
  await put('etc/criu/runc.conf', 'tcp-established\n')
  const before = await everything()
  await install(root)
  await put('var/lib/podferry/registry/docker/blob', 'memory')
  await mkdir(join(root, 'run/podferry/fence/announced'), { recursive: true })
  await cleanUp()
  assert.deepEqual(
    (await everything()).filter((path) => !['opt', 'run', 'var', 'var/lib'].includes(path)),
    before,
  )
  assert.equal(await readFile(join(root, 'etc/criu/runc.conf'), 'utf8'), 'tcp-established\n')
})

test('twice is as good as once', async () => {
  await install(root)
  await cleanUp()
  await cleanUp()
})

test('a node with an unfinished migration is left alone unless forced', async () => {
  await install(root)
  await put('var/lib/podferry/journal/entry.json', '{}')
  const before = await everything()
  await assert.rejects(cleanUp(), /\/var\/lib\/podferry\/journal\/entry\.json.*--force/)
  assert.deepEqual(await everything(), before)
  await cleanUp('--force')
  assert.ok(!(await everything()).includes('var/lib/podferry'))
})

test('a pod whose memory is still on its way holds the node; one that has it all does not', async () => {
  await put('run/podferry/restore/uid/main/lazy.pid', '1 2')
  await assert.rejects(cleanUp(), /restore\/uid\/main\/lazy\.pid.*--force/)
  await put('run/podferry/restore/uid/main/lazy.exit', '0')
  await cleanUp()
  assert.ok(!(await everything()).includes('run/podferry'))
})

test('pods of RuntimeClass podferry hold the node; by force they keep the wrapper and their marks', async () => {
  await put('run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/runtime', WRAPPER)
  await put('opt/podferry/bin/podferry-runc', '')
  await put('etc/containerd/conf.d/podferry.toml', '# BEGIN podferry\n# END podferry\n')
  await put('run/podferry/restored/by-pod/uid', '')
  await put('run/podferry/restore/uid/refused', '')
  await assert.rejects(cleanUp(), /\(abc\).*--force/)
  await cleanUp('--force')
  const left = await everything()
  assert.ok(left.includes('opt/podferry/bin/podferry-runc'))
  assert.ok(left.includes('run/podferry/restored/by-pod/uid'))
  assert.ok(!left.includes('run/podferry/restore'))
  assert.ok(!left.includes('etc/containerd/conf.d/podferry.toml'))
})
