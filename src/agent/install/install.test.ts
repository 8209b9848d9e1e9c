import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { install, uninstall } from './install.ts'
import { HOOK_PATH, RUNC_CONF, withBlock, withoutBlock } from './runc-conf.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-install-'))
})
afterEach(() => rm(root, { recursive: true }))

const conf = () => readFile(join(root, RUNC_CONF), 'utf8')

test('a bare node gets hook and block, and is bare again afterwards', async () => {
  await mkdir(join(root, 'opt'))
  await mkdir(join(root, 'etc'))
  await install(root)
  assert.equal((await stat(join(root, HOOK_PATH))).mode & 0o7777, 0o755)
  const lines = (await conf()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  assert.deepEqual(lines, [
    'tcp-close',
    'file-locks',
    'link-remap',
    'ghost-limit 64M',
    'skip-in-flight',
    'network-lock skip',
    'action-script /opt/podferry/criu-fence',
  ])
  await uninstall(root)
  assert.deepEqual([await readdir(join(root, 'opt')), await readdir(join(root, 'etc'))], [[], []])
})

test('a second install writes nothing', async () => {
  await install(root)
  for (const path of [RUNC_CONF, HOOK_PATH]) await utimes(join(root, path), 1, 1)
  await install(root)
  for (const path of [RUNC_CONF, HOOK_PATH]) assert.equal((await stat(join(root, path))).mtimeMs, 1000)
})

test('a hook that was changed or made writable is put right', async () => {
  await install(root)
  const original = await readFile(join(root, HOOK_PATH), 'utf8')
  await writeFile(join(root, HOOK_PATH), 'exit 1')
  await install(root)
  assert.equal(await readFile(join(root, HOOK_PATH), 'utf8'), original)
  await chmod(join(root, HOOK_PATH), 0o777)
  await install(root)
  assert.equal((await stat(join(root, HOOK_PATH))).mode & 0o7777, 0o755)
})

for (const [name, text] of Object.entries({
  'foreign lines': 'tcp-close\n# mine\nlog-file /x\n',
  'no line feed at the end': 'tcp-close',
  'empty lines': '\n\nverbosity 4\n\n',
})) {
  test(`${name} stay, before and after the block`, async () => {
    await mkdir(join(root, 'etc/criu'), { recursive: true })
    await writeFile(join(root, RUNC_CONF), text)
    await install(root)
    assert.ok((await conf()).startsWith(text))
    await writeFile(join(root, RUNC_CONF), `${await conf()}ghost-limit 1G\n`)
    await install(root)
    assert.ok((await conf()).endsWith('ghost-limit 1G\n'), 'what was added after the block stays after it')
    await uninstall(root)
    assert.equal((await conf()).replace(/\n?ghost-limit 1G\n$/, '').trimEnd(), text.trimEnd())
  })
}

test('an empty block text is the inverse of its insertion', () => {
  for (const text of ['', 'a\n', 'a\n\nb\n']) assert.equal(withoutBlock(withBlock(text)), text)
})

for (const line of ['action-script /usr/bin/theirs', '  action-script=/usr/bin/theirs', 'action-script']) {
  test(`a foreign "${line.trim()}" is refused and nothing is written`, async () => {
    await mkdir(join(root, 'etc/criu'), { recursive: true })
    await writeFile(join(root, RUNC_CONF), `${line}\n`)
    await assert.rejects(install(root), { reason: 'ForeignActionScript' })
    assert.equal(await conf(), `${line}\n`)
    await assert.rejects(stat(join(root, HOOK_PATH)), { code: 'ENOENT' })
  })
}

test('a block without its end is refused', async () => {
  await install(root)
  await writeFile(join(root, RUNC_CONF), (await conf()).replace('# END podferry', ''))
  await assert.rejects(install(root), { reason: 'RuncConfDamaged' })
  await assert.rejects(uninstall(root), { reason: 'RuncConfDamaged' })
})

test('a link in place of the configuration is refused', async () => {
  await mkdir(join(root, 'etc/criu'), { recursive: true })
  await symlink('/etc/passwd', join(root, RUNC_CONF))
  await assert.rejects(install(root), { reason: 'RuncConfIsLink' })
})
