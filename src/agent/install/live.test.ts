import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { installLive, uninstallLive } from './live.ts'
import { WRAPPER } from './programs.ts'
import { createFakeNode } from './testing/fake-node.ts'

const MAIN = 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
const CONFIG = '/etc/containerd/config.toml'
const DROP_IN = '/etc/containerd/conf.d/podferry.toml'
const log = pino({ level: 'silent' })

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-live-'))
})
afterEach(() => rm(root, { recursive: true }))

type Options = Omit<Parameters<typeof createFakeNode>[0], 'root'>

async function nodeWith(options: Options = { config: MAIN }) {
  const node = await createFakeNode({ root, ...options })
  const live = { hostRoot: root, log, node, cri: node.cri }
  return { node, live }
}

/** Every file below the root with time and content. */
async function files(): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const found = entries
    .filter((entry) => !entry.isDirectory())
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name)
      if (entry.isSymbolicLink()) return [path.slice(root.length), await readlink(path)]
      return [path.slice(root.length), `${(await stat(path)).mtimeMs} ${await readFile(path, 'utf8')}`]
    })
  return Object.fromEntries((await Promise.all(found)).sort())
}
const contents = async () =>
  Object.fromEntries(Object.entries(await files()).map(([path, text]) => [path, text.replace(/^[\d.]+ /, '')]))
const text = (path: string) => readFile(join(root, path), 'utf8')

for (const [what, options, file] of [
  ['imports drop-ins', { config: MAIN }, DROP_IN],
  ['imports nothing', { config: 'version = 3\nimports = []\n' }, CONFIG],
  ['has no file', { config: undefined }, CONFIG],
  [
    'is containerd 1, which would lose its own section',
    {
      config: `${MAIN.replace('3', '2')}[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\nSystemdCgroup = true\n`,
      containerd: 1,
    },
    CONFIG,
  ],
] as const) {
  test(`a containerd that ${what} gets the handler into ${file}, once, and loses it again`, async () => {
    const { node, live } = await nodeWith(options)
    const before = await contents()
    assert.deepEqual(await installLive(live), { able: true })
    assert.match(await text(file), /BinaryName = "\/opt\/podferry\/bin\/podferry-runc"/)
    assert.deepEqual(node.restarts, ['kill -TERM 60'])
    assert.equal(await readlink(join(root, '/opt/podferry/bin/runc')), '/usr/sbin/runc')
    assert.equal(await text('/proc/sys/fs/pipe-max-size'), String(2 ** 30))

    const installed = await files()
    assert.deepEqual(await installLive(live), { able: true })
    assert.deepEqual(await files(), installed, 'a second time changes nothing')
    assert.equal(node.restarts.length, 1)

    assert.deepEqual(await uninstallLive(live), { containers: [] })
    assert.deepEqual({ ...(await contents()), '/proc/sys/fs/pipe-max-size': '1048576\n' }, before)
    assert.equal(await text('/proc/sys/fs/pipe-max-size'), '1048576')
    assert.equal(node.restarts.length, 2)
    await uninstallLive(live)
    assert.equal(node.restarts.length, 2)
  })
}

test('systemd is asked for the restart where it keeps containerd', async () => {
  const { node, live } = await nodeWith({ config: MAIN, systemd: true })
  await installLive(live)
  assert.deepEqual(node.restarts, ['systemctl restart containerd.service'])
})

test('a restart that must not be now leaves files only', async () => {
  const { node, live } = await nodeWith()
  const ability = await installLive({ ...live, mayRestart: false })
  assert.equal(ability.able === false && ability.reason, 'RestartPending')
  assert.deepEqual(node.restarts, [])
  assert.ok(await text(DROP_IN))
})

test('a handler of another hand or version is replaced', async () => {
  const { live } = await nodeWith()
  await mkdir(join(root, '/etc/containerd/conf.d'))
  await writeFile(join(root, DROP_IN), 'version = 3\n')
  await mkdir(join(root, '/opt/podferry/bin'), { recursive: true })
  await writeFile(join(root, WRAPPER), 'of old', { mode: 0o700 })
  await symlink('/usr/bin/gone', join(root, '/opt/podferry/bin/runc'))
  assert.deepEqual(await installLive(live), { able: true })
  assert.match(await text(DROP_IN), /BinaryName/)
  assert.match(await text(WRAPPER), /^#!\/bin\/sh/)
  assert.equal((await stat(join(root, WRAPPER))).mode & 0o777, 0o755)
  assert.equal(await readlink(join(root, '/opt/podferry/bin/runc')), '/usr/sbin/runc')
})

for (const [reason, options] of [
  ['RuntimeNotSupported', { config: MAIN, runtimeName: 'cri-o' }],
  ['ContainerdConfigRefused', { config: 'imports = []\n' }],
  [
    'ContainerdConfigRefused',
    {
      config:
        'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes]\nrunc = { runtime_type = "io.containerd.kata.v2" }\n',
    },
  ],
  ['ContainerdConfigRefused', { config: 'version = 3\nplugins = { "io.containerd.cri.v1.runtime" = {} }\n' }],
] as const) {
  test(`a node is unable for ${reason} with ${JSON.stringify(options)}, and its configuration is as it was`, async () => {
    const { node, live } = await nodeWith(options)
    const ability = await installLive(live)
    assert.equal(ability.able === false && ability.reason, reason)
    assert.equal(await text(CONFIG), options.config)
    assert.deepEqual(node.restarts, [])
  })
}

test('a configuration that is a link is refused, as it would be resolved in the agent’s own root', async () => {
  const { live } = await nodeWith()
  await rm(join(root, CONFIG))
  await symlink('/etc/elsewhere.toml', join(root, CONFIG))
  const ability = await installLive(live)
  assert.match(ability.able ? '' : ability.message, /no regular file/)
})

test('while a container of the handler lives, the wrapper stays and containerd is not restarted', async () => {
  const { node, live } = await nodeWith()
  await installLive(live)
  const bundles = join(root, '/run/containerd/io.containerd.runtime.v2.task/k8s.io')
  for (const [id, runtime] of [
    ['aaa', WRAPPER],
    ['bbb', ''],
  ] as const) {
    await mkdir(join(bundles, id), { recursive: true })
    await writeFile(join(bundles, id, 'runtime'), runtime)
  }
  assert.deepEqual(await uninstallLive(live), { containers: ['aaa'] })
  assert.ok(await text(WRAPPER))
  assert.equal(node.restarts.length, 1)
  await assert.rejects(stat(join(root, DROP_IN)), { code: 'ENOENT' })
  await rm(join(bundles, 'aaa'), { recursive: true })
  assert.deepEqual(await uninstallLive(live), { containers: [] })
  assert.equal(node.restarts.length, 2)
})
