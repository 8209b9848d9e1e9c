/** The hook's own text, run by a real shell on a scratch root, against the agent's side of the claim. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { createFence } from './fence.ts'
import { freezerFolder, type PodCgroup } from './pod-cgroup.ts'

const POD = 'pod11111111-2222-3333-4444-555555555555'
const MIGRATION = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
const PID = '4711'

let root: string
let hook: string

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'podferry-hook-'))
  const text = await readFile(new URL('../../../runtime/criu-fence', import.meta.url), 'utf8')
  hook = join(root, 'hook')
  const moved = text.replace(/(?<==|"| )\/(proc|run\/podferry|sys\/fs)\b/g, `${root}/$1`)
  assert.equal(moved.split(root).length, 9, 'the hook names its places literally')
  await writeFile(hook, moved, { mode: 0o755 })
})
after(() => rm(root, { recursive: true }))
beforeEach(async () => {
  for (const name of ['proc', 'sys', 'run']) await rm(join(root, name), { recursive: true, force: true })
})

async function pod(version: 1 | 2): Promise<PodCgroup> {
  const path = `/kubepods/burstable/${POD}`
  const cgroup: PodCgroup = { version, path, memoryPath: path }
  const folder = join(root, freezerFolder(cgroup))
  await mkdir(folder, { recursive: true })
  if (version === 1) await writeFile(join(folder, 'freezer.state'), 'THAWED\n')
  else {
    await writeFile(join(folder, 'cgroup.freeze'), '0\n')
    await writeFile(join(folder, 'cgroup.events'), 'populated 1\nfrozen 0\n')
  }
  await mkdir(join(root, 'proc', PID), { recursive: true })
  const container = `${path}/${'e'.repeat(64)}`
  const line = version === 1 ? `8:cpu,freezer:${container}\n0::/\n` : `0::${container}\n`
  await writeFile(join(root, 'proc', PID, 'cgroup'), line)
  return cgroup
}

const run = (action: string, cwd = '/', pid = PID): Promise<number> =>
  new Promise((resolve) => {
    const env = { CRTOOLS_SCRIPT_ACTION: action, CRTOOLS_INIT_PID: pid }
    execFile('/bin/sh', [hook], { env, cwd }, (error) => resolve(error === null ? 0 : Number(error.code)))
  })

const frozenWord = async (cgroup: PodCgroup) =>
  (
    await readFile(join(root, freezerFolder(cgroup), cgroup.version === 1 ? 'freezer.state' : 'cgroup.freeze'), 'utf8')
  ).trim()

for (const [version, word] of [
  [1, 'FROZEN'],
  [2, '1'],
] as const) {
  test(`version ${version}: an announced pod is claimed and frozen`, async () => {
    const cgroup = await pod(version)
    const fence = createFence(root)
    await fence.announce(cgroup, MIGRATION)
    assert.equal(await run('post-dump'), 0)
    assert.equal(await frozenWord(cgroup), word)
    assert.equal(await fence.withdraw(cgroup, MIGRATION), 'claimed')
    assert.notEqual(await fence.state(cgroup), 'thawed')
    await fence.clear(cgroup, MIGRATION)
    assert.equal(await fence.isClaimed(cgroup, MIGRATION), false)
  })
}

test('a pod that is not announced, and every other stage, are left alone', async () => {
  const cgroup = await pod(1)
  const fence = createFence(root)
  assert.equal(await run('post-dump'), 0)
  await fence.announce(cgroup, MIGRATION)
  for (const action of ['pre-dump', 'network-lock', 'network-unlock', 'pre-restore', 'post-restore', 'post-resume']) {
    assert.equal(await run(action), 0)
  }
  assert.equal(await frozenWord(cgroup), 'THAWED')
  assert.equal(await fence.isClaimed(cgroup, MIGRATION), false)
})

test('the moments of a live move are noted beside the images, those of anything else nowhere', async () => {
  await pod(1)
  const [live, restore, other] = ['run/podferry/live/m/c', 'run/podferry/restore/p/c', 'run/containerd/c'] as const
  const folderOf = (place: string) => join(root, place)
  for (const place of [live, restore, other]) {
    const work = join(folderOf(place), 'work')
    await mkdir(work, { recursive: true })
    for (const action of ['pre-dump', 'network-lock', 'post-restore', 'post-resume']) {
      assert.equal(await run(action, work), 0)
    }
  }
  assert.deepEqual(await readdir(folderOf(live)), ['stopping', 'work'])
  assert.deepEqual(await readdir(folderOf(restore)), ['resumed', 'work'])
  assert.deepEqual(await readdir(folderOf(other)), ['work'])
})

for (const version of [1, 2] as const) {
  test(`version ${version}: a live dump finds its container frozen, and only its container`, async () => {
    const cgroup = await pod(version)
    const container = join(root, freezerFolder(cgroup), 'e'.repeat(64))
    await mkdir(container)
    const work = join(root, 'run/podferry/live/m/c/work')
    await mkdir(work, { recursive: true })
    const [file, thawed, frozen] = version === 1 ? ['freezer.state', 'THAWED', 'FROZEN'] : ['cgroup.freeze', '0', '1']
    await writeFile(join(container, file), `${thawed}\n`)
    // Version 2 tells elsewhere that it has come to pass.
    if (version === 2) await writeFile(join(container, 'cgroup.events'), 'populated 1\nfrozen 1\n')
    const tasks = join(container, version === 1 ? 'tasks' : 'cgroup.threads')
    await mkdir(join(root, 'proc/7'), { recursive: true })
    await writeFile(join(root, 'proc/7/exe'), '')
    await writeFile(tasks, '7\n')
    assert.equal(await run('pre-dump', work), 0)
    assert.equal((await readFile(join(container, file), 'utf8')).trim(), frozen)
    assert.equal(await frozenWord(cgroup), thawed)
    // One that is about to end has no program any more; that it is never gone is CRIU's to tell.
    await writeFile(tasks, '7\n8\n')
    assert.equal(await run('pre-dump', work), 0)
    assert.equal((await readFile(join(container, file), 'utf8')).trim(), thawed)
    // One that does not come to stand still is CRIU's to stop.
    if (version === 1) return
    await writeFile(join(container, 'cgroup.events'), 'populated 1\nfrozen 0\n')
    assert.equal(await run('pre-dump', work), 0)
    assert.equal((await readFile(join(container, file), 'utf8')).trim(), thawed)
  })
}

for (const version of [1, 2] as const) {
  test(`version ${version}: containers before the last are held until the last one runs`, async () => {
    const cgroup = await pod(version)
    const container = join(root, freezerFolder(cgroup), 'e'.repeat(64))
    await mkdir(container)
    const [file, thawed, frozen] = version === 1 ? ['freezer.state', 'THAWED', 'FROZEN'] : ['cgroup.freeze', '0', '1']
    await writeFile(join(container, file), `${thawed}\n`)
    const word = async () => (await readFile(join(container, file), 'utf8')).trim()
    const workOf = (name: string) => join(root, 'run/podferry/restore/p', name, 'work')
    for (const name of ['first', 'last']) await mkdir(workOf(name), { recursive: true })
    await writeFile(join(workOf('first'), '../hold'), '')

    assert.equal(await run('pre-resume', workOf('first')), 0)
    assert.equal(await word(), frozen)
    // Whoever called the hook is not caught in it.
    const top = join(root, version === 1 ? 'sys/fs/cgroup/freezer' : 'sys/fs/cgroup')
    assert.equal((await readFile(join(top, 'cgroup.procs'), 'utf8')).trim(), String(process.pid))
    assert.equal(await run('post-resume', workOf('first')), 0)
    assert.equal(await word(), frozen)
    // The last one itself is not held.
    assert.equal(await run('pre-resume', workOf('last')), 0)
    assert.equal(await word(), frozen)
    assert.equal(await run('post-resume', workOf('last')), 0)
    assert.equal(await word(), thawed)
    assert.deepEqual(await readdir(join(workOf('last'), '..')), ['resumed', 'work'])
  })
}

test('what cannot be held does not run', async () => {
  await pod(1)
  const work = join(root, 'run/podferry/restore/p/first/work')
  await mkdir(work, { recursive: true })
  await writeFile(join(work, '../hold'), '')
  const child = spawn('sleep', ['60'])
  await mkdir(join(root, 'proc', String(child.pid)), { recursive: true })
  await writeFile(join(root, 'proc', String(child.pid), 'cgroup'), '8:cpu,freezer:/gone\n')
  const died = once(child, 'exit')
  await run('pre-resume', work, String(child.pid))
  assert.equal((await died)[1], 'SIGKILL')
})

test('a withdrawn announcement freezes nothing', async () => {
  const cgroup = await pod(1)
  const fence = createFence(root)
  await fence.announce(cgroup, MIGRATION)
  assert.equal(await fence.withdraw(cgroup, MIGRATION), 'withdrawn')
  assert.equal(await run('post-dump'), 0)
  assert.equal(await frozenWord(cgroup), 'THAWED')
})

test('a freeze that cannot be written fails the dump', async () => {
  const cgroup = await pod(1)
  const fence = createFence(root)
  await fence.announce(cgroup, MIGRATION)
  await rm(join(root, freezerFolder(cgroup)), { recursive: true })
  assert.equal(await run('post-dump'), 1)
})

test('a process at the root of the hierarchy moves no folder', async () => {
  const cgroup = await pod(1)
  await createFence(root).announce(cgroup, MIGRATION)
  await writeFile(join(root, 'proc', PID, 'cgroup'), '6:freezer:/\n')
  assert.equal(await run('post-dump'), 0)
  assert.deepEqual(await readdir(join(root, 'run/podferry/fence')), ['announced', 'claimed', 'withdrawn'])
})

test('what an agent that was killed in the middle of an announcement has left goes with the rest', async () => {
  const cgroup = await pod(1)
  const fence = createFence(root)
  await fence.announce(cgroup, MIGRATION)
  await writeFile(join(root, `run/podferry/fence/.${MIGRATION}`), MIGRATION)
  await fence.clear(cgroup, MIGRATION)
  assert.deepEqual(await readdir(join(root, 'run/podferry/fence')), ['announced', 'claimed', 'withdrawn'])
})

test('of hook and withdrawal exactly one wins, and a freeze follows exactly a claim', async () => {
  const won = { claimed: 0, withdrawn: 0 }
  for (let round = 0; round < 60; round++) {
    const cgroup = await pod(1)
    const fence = createFence(root)
    await fence.announce(cgroup, MIGRATION)
    const hooked = run('post-dump')
    await new Promise((resolve) => setTimeout(resolve, round / 5))
    const result = await fence.withdraw(cgroup, MIGRATION)
    assert.equal(await hooked, 0)
    assert.ok(result === 'claimed' || result === 'withdrawn', result)
    assert.equal(await frozenWord(cgroup), result === 'claimed' ? 'FROZEN' : 'THAWED')
    won[result]++
    await fence.clear(cgroup, MIGRATION)
  }
  assert.ok(won.claimed > 0 && won.withdrawn > 0, `both happen: ${JSON.stringify(won)}`)
})

test('a claim without the hook keeps every other Migration away, and is there before the freeze', async () => {
  const cgroup = await pod(1)
  const fence = createFence(root)
  const other = MIGRATION.replace('a', 'b')
  await fence.claim(cgroup, MIGRATION)
  await fence.claim(cgroup, MIGRATION)
  assert.equal(await fence.claimant(cgroup), MIGRATION)
  await assert.rejects(fence.claim(cgroup, other), { reason: 'PodBusy' })
  await assert.rejects(fence.announce(cgroup, other), { reason: 'PodBusy' })
  await fence.clear(cgroup, MIGRATION)
  await fence.announce(cgroup, other)
  await assert.rejects(fence.claim(cgroup, MIGRATION), { reason: 'PodBusy' })
})

test('a pod belongs to one Migration at a time, and nobody clears what is not theirs', async () => {
  const cgroup = await pod(1)
  const fence = createFence(root)
  const other = MIGRATION.replace('a', 'b')
  await fence.announce(cgroup, MIGRATION)
  await fence.announce(cgroup, MIGRATION)
  await assert.rejects(fence.announce(cgroup, other), { reason: 'PodBusy' })
  assert.equal(await fence.withdraw(cgroup, other), 'absent')
  await fence.clear(cgroup, other)
  assert.equal(await run('post-dump'), 0)
  await assert.rejects(fence.announce(cgroup, other), { reason: 'PodBusy' })
  assert.equal(await fence.claimant(cgroup), MIGRATION)
})
