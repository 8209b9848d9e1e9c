/** The wrapper's own text, run by a real shell on a scratch root; runc is a script there that writes down how it was called. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const POD = '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0'
const ID = 'e'.repeat(64)
const GLOBAL = ['--root', '/run/containerd/runc/k8s.io', '--log', 'LOG', '--log-format', 'json', '--systemd-cgroup']

let root: string
let wrapper: string

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-runc-'))
  wrapper = join(root, 'wrapper')
  const text = await readFile(new URL('../../runtime/podferry-runc', import.meta.url), 'utf8')
  const moved = text.replaceAll(/=\/(opt|run)\//g, `=${root}/$1/`).replace('patience=100', 'patience=1')
  assert.equal(moved.split(root).length, 4, 'the wrapper names its three places literally')
  await writeFile(wrapper, moved, { mode: 0o755 })
})
after(() => rm(root, { recursive: true }))
beforeEach(async () => {
  for (const folder of ['opt', 'run', 'bundle']) await rm(join(root, folder), { recursive: true, force: true })
  await mkdir(join(root, 'opt/podferry/bin'), { recursive: true })
  await mkdir(join(root, 'bundle'), { recursive: true })
  const runc = `#!/bin/sh\nprintf '%s\\n' "$@" > ${root}/called\nexit $(cat ${root}/code)\n`
  await writeFile(join(root, 'opt/podferry/bin/runc'), runc, { mode: 0o755 })
  await writeFile(join(root, 'code'), '0')
  for (const file of ['called', 'log']) await rm(join(root, file), { force: true })
})

const called = async () => (await readFile(join(root, 'called'), 'utf8').catch(() => '')).trim().split('\n')
const globals = () => GLOBAL.map((word) => (word === 'LOG' ? join(root, 'log') : word))

async function bundle(annotations: Record<string, string>): Promise<void> {
  await writeFile(join(root, 'bundle/config.json'), JSON.stringify({ ociVersion: '1.2.0', annotations }))
}

const arriving = (changes: Record<string, string> = {}) =>
  bundle({
    'podferry.dev/await': 'aaaaaaaa-0000-4000-8000-000000000000',
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.container-name': 'main',
    'io.kubernetes.cri.sandbox-uid': POD,
    ...changes,
  })

const createArguments = () => ['create', '--bundle', join(root, 'bundle'), '--pid-file', join(root, 'pid'), ID]

const run = (args: string[]): Promise<{ code: number; stderr: string }> =>
  new Promise((resolve) => {
    execFile(wrapper, args, (error, _, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stderr }))
  })

async function stage(): Promise<string> {
  const folder = join(root, `run/podferry/restore/${POD}/main`)
  await mkdir(folder, { recursive: true })
  execFileSync('mkfifo', [join(folder, 'gate')])
  return folder
}

async function waiting(folder: string): Promise<void> {
  for (let tries = 0; !existsSync(join(folder, 'waiting')); tries++) {
    assert.ok(tries < 200, 'the wrapper does not wait')
    await sleep(10)
  }
}

/** Waits until the wrapper says that it waits, then answers through the gate. */
async function answer(folder: string, verdict: string): Promise<void> {
  await waiting(folder)
  await writeFile(join(folder, 'gate'), `${verdict}\n`)
}

for (const args of [['--version'], ['state', ID], ['--root', 'create', 'kill', ID, 'KILL'], []]) {
  test(`runc ${args.join(' ') || 'without a word'} is runc's own`, async () => {
    assert.equal((await run([...globals(), ...args])).code, 0)
    assert.deepEqual(await called(), [...globals(), ...args])
  })
}

test('an ordinary container is created by runc', async () => {
  await bundle({ 'io.kubernetes.cri.container-type': 'container' })
  await run([...globals(), ...createArguments()])
  assert.deepEqual(await called(), [...globals(), ...createArguments()])
})

test('the sandbox of an arriving pod is created by runc', async () => {
  await arriving({ 'io.kubernetes.cri.container-type': 'sandbox' })
  await run([...globals(), ...createArguments()])
  assert.deepEqual(await called(), [...globals(), ...createArguments()])
})

test('an arriving container waits at the gate and is restored; its start has nothing left to do', async () => {
  await arriving()
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await answer(folder, `restore ${ID}`)
  assert.equal((await created).code, 0)
  const place = ['--image-path', `${folder}/image`, '--work-path', `${folder}/work`]
  const files = ['--bundle', join(root, 'bundle'), '--pid-file', join(root, 'pid')]
  assert.deepEqual(await called(), [...globals(), 'restore', '--detach', '--lazy-pages', ...files, ...place, ID])
  assert.match(
    await readFile(join(folder, 'waiting'), 'utf8'),
    new RegExp(`^${ID}\n${join(root, 'bundle')}\n[1-9]\\d*\n$`),
  )
  assert.equal(await readFile(join(folder, 'outcome'), 'utf8'), 'restored\n')

  await rm(join(root, 'called'))
  assert.equal((await run([...globals(), 'start', ID])).code, 0)
  assert.equal(existsSync(join(root, 'called')), false)
  await run([...globals(), 'delete', ID])
  assert.deepEqual(await called(), [...globals(), 'delete', ID])
  await run([...globals(), 'start', ID])
  assert.deepEqual(await called(), [...globals(), 'start', ID])
})

test('a state that is whole is restored without a daemon', async () => {
  await arriving()
  const folder = await stage()
  await writeFile(join(folder, 'whole'), '')
  const created = run([...globals(), ...createArguments()])
  await answer(folder, `restore ${ID}`)
  assert.equal((await created).code, 0)
  assert.deepEqual((await called()).slice(GLOBAL.length, GLOBAL.length + 3), ['restore', '--detach', '--bundle'])
})

test('a restore that fails says so where kubelet looks, and its start is runc’s again', async () => {
  await arriving()
  await writeFile(join(root, 'code'), '7')
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await answer(folder, `restore ${ID}`)
  assert.equal((await created).code, 1)
  assert.match(JSON.parse(await readFile(join(root, 'log'), 'utf8')).msg, /exit code 7/)
  assert.equal(await readFile(join(folder, 'outcome'), 'utf8'), 'failed 7\n')
  assert.equal(existsSync(join(root, `run/podferry/restored/by-container/${ID}`)), false)
})

test('a forged annotation gets no state: without a staging folder the creation fails in time', async () => {
  await arriving()
  const { code, stderr } = await run([...globals(), ...createArguments()])
  assert.equal(code, 1)
  assert.match(stderr, /no agent opened a staging folder/)
  assert.equal(existsSync(join(root, 'called')), false)
})

test('an agent that falls silent does not hold the wrapper beyond its patience', async () => {
  await arriving()
  await stage()
  const { code, stderr } = await run([...globals(), ...createArguments()])
  assert.equal(code, 1)
  assert.match(stderr, /did not arrive/)
})

test('a folder that takes nothing is told of at once: nobody could hear that the wrapper waits', async () => {
  await arriving()
  const folder = await stage()
  // As on a full disk.
  await mkdir(join(folder, '.waiting'))
  const { code, stderr } = await run([...globals(), ...createArguments()])
  assert.equal(code, 1)
  assert.match(stderr, /can't be written; is the disk of this node full\?/)
  assert.equal(existsSync(join(root, 'called')), false)
})

test('an aborted migration creates nothing', async () => {
  await arriving()
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await answer(folder, 'abort')
  assert.equal((await created).code, 1)
  assert.equal(existsSync(join(root, 'called')), false)
})

test('a container that came before the first one is sent away, and says why', async () => {
  await arriving()
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await waiting(folder)
  await answer(folder, 'early')
  const { code, stderr } = await created
  assert.equal(code, 1)
  assert.match(stderr, /made again after the first/)
  assert.equal(existsSync(join(folder, 'used')), false)
  assert.equal(existsSync(join(root, 'called')), false)
})

for (const moment of ['before it waits', 'while it waits for a folder', 'while it waits at the gate']) {
  test(`a move that is given up ${moment} creates nothing`, async () => {
    await arriving()
    const refuse = async () => {
      await mkdir(join(root, `run/podferry/restore/${POD}`), { recursive: true })
      await writeFile(join(root, `run/podferry/restore/${POD}/refused`), '')
    }
    if (moment === 'before it waits') await refuse()
    const folder = moment.endsWith('gate') ? await stage() : undefined
    const created = run([...globals(), ...createArguments()])
    if (folder !== undefined) await waiting(folder)
    await refuse()
    const { code, stderr } = await created
    assert.equal(code, 1)
    assert.match(stderr, /was given up/)
    assert.equal(existsSync(join(root, 'called')), false)
  })
}

test('state that was used once is not used again', async () => {
  await arriving()
  const folder = await stage()
  await mkdir(join(folder, 'used'))
  const { code, stderr } = await run([...globals(), ...createArguments()])
  assert.equal(code, 1)
  assert.match(stderr, /used already/)
})

test('state that another has used while this one waited is not used again', async () => {
  await arriving()
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await waiting(folder)
  await mkdir(join(folder, 'used'))
  await writeFile(join(folder, 'gate'), `restore ${ID}\n`)
  const { code, stderr } = await created
  assert.equal(code, 1)
  assert.match(stderr, /used already/)
  assert.equal(existsSync(join(root, 'called')), false)
})

test('a word for an earlier attempt of the container restores nothing', async () => {
  await arriving()
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await answer(folder, `restore ${'f'.repeat(64)}`)
  assert.equal((await created).code, 1)
  assert.equal(existsSync(join(root, 'called')), false)
  assert.equal(existsSync(join(folder, 'used')), false)
})

test('a pod that was given up after it had arrived starts nothing afresh', async () => {
  await arriving()
  for (const mark of ['restored/by-pod', 'restore']) await mkdir(join(root, 'run/podferry', mark), { recursive: true })
  await writeFile(join(root, `run/podferry/restored/by-pod/${POD}`), '')
  await mkdir(join(root, `run/podferry/restore/${POD}`))
  await writeFile(join(root, `run/podferry/restore/${POD}/refused`), '')
  assert.match((await run([...globals(), ...createArguments()])).stderr, /was given up/)
  assert.equal(existsSync(join(root, 'called')), false)
})

test('a container that waits after a reboot is started afresh once the agent says that its move is over', async () => {
  await arriving()
  const created = run([...globals(), ...createArguments()])
  await sleep(150)
  await mkdir(join(root, 'run/podferry/restored/by-pod'), { recursive: true })
  await writeFile(join(root, `run/podferry/restored/by-pod/${POD}`), '')
  assert.equal((await created).code, 0)
  assert.deepEqual(await called(), [...globals(), ...createArguments()])
})

test('a restored program inherits the same descriptors as any other: the shim’s pipes, not the gate', async () => {
  await arriving()
  const probe = `#!/bin/sh\nls -l /proc/$$/fd > ${root}/called\n`
  await writeFile(join(root, 'opt/podferry/bin/runc'), probe, { mode: 0o755 })
  const kinds = async () => (await called()).flatMap((line) => /(\d+) -> ([^:]*)/.exec(line)?.slice(1).join(' ') ?? [])
  await run([...globals(), 'state', ID])
  const ordinary = await kinds()
  const folder = await stage()
  const created = run([...globals(), ...createArguments()])
  await answer(folder, `restore ${ID}`)
  await created
  assert.deepEqual(await kinds(), ordinary)
})

test('a container of a pod that has arrived before is started afresh', async () => {
  await arriving()
  await mkdir(join(root, 'run/podferry/restored/by-pod'), { recursive: true })
  await writeFile(join(root, `run/podferry/restored/by-pod/${POD}`), '')
  await run([...globals(), ...createArguments()])
  assert.deepEqual(await called(), [...globals(), ...createArguments()])
})

for (const [what, changes] of Object.entries({
  'a pod UID': { 'io.kubernetes.cri.sandbox-uid': '../../etc' },
  'a container name': { 'io.kubernetes.cri.container-name': '../x' },
})) {
  test(`${what} that is none never becomes a path`, async () => {
    await arriving(changes)
    await run([...globals(), ...createArguments()])
    assert.deepEqual(await called(), [...globals(), ...createArguments()])
  })
}
