/** Real processes in real cgroups of this machine: needs root and a freezer of either version. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../../../lab/scenario/eventually.ts'
import { createFence } from './fence.ts'
import { freezerFolder, type PodCgroup } from './pod-cgroup.ts'

const unified = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) => existsSync(`${path}/cgroup.controllers`))
const roots = { 1: existsSync('/sys/fs/cgroup/freezer') ? '/sys/fs/cgroup' : undefined, 2: unified } as const

for (const version of [1, 2] as const) {
  const cgroups = roots[version]
  const skip = cgroups === undefined || process.getuid?.() !== 0 ? `no version ${version} freezer here` : false

  const withPod = async (
    run: (pod: { root: string; cgroup: PodCgroup; counter: () => Promise<number> }) => Promise<void>,
  ) => {
    const root = await mkdtemp(join(tmpdir(), 'podferry-freezer-'))
    await mkdir(join(root, 'sys/fs'), { recursive: true })
    await symlink(cgroups ?? '', join(root, 'sys/fs/cgroup'))
    const path = `/podferry-test-${process.pid}`
    const cgroup: PodCgroup = { version, path, memoryPath: path }
    const folder = join(root, freezerFolder(cgroup))
    await mkdir(join(folder, 'container'), { recursive: true })
    const file = join(root, 'count')
    // On SIGTERM it would count on from a million: the trace of one instruction too many.
    const script = `trap 'echo 1000000 > ${file}' TERM; n=0; while :; do n=$((n+1)); echo $n > ${file}; sleep 0.01; done`
    const child: ChildProcess = spawn('/bin/sh', ['-c', script], { stdio: 'ignore' })
    try {
      await writeFile(join(folder, 'container/cgroup.procs'), String(child.pid))
      await run({ root, cgroup, counter: async () => Number(await readFile(file, 'utf8').catch(() => '0')) })
    } finally {
      child.kill('SIGKILL')
      await createFence(root).killAll(cgroup)
      await delay(50)
      await rmdir(join(folder, 'container'))
      await rmdir(folder)
      await rm(root, { recursive: true })
    }
  }

  const freeze = (root: string, cgroup: PodCgroup) => createFence(root).freeze(cgroup)
  /** What `runc pause` does. */
  const pause = async (root: string, cgroup: PodCgroup) => {
    const [file, word] = version === 1 ? ['freezer.state', 'FROZEN'] : ['cgroup.freeze', '1']
    await writeFile(join(root, freezerFolder(cgroup), 'container', file), word)
  }

  test(`version ${version}: a frozen pod stands still and goes on after the thaw`, { skip }, () =>
    withPod(async ({ root, cgroup, counter }) => {
      const fence = createFence(root)
      await delay(100)
      assert.equal(await fence.state(cgroup), 'thawed')
      await freeze(root, cgroup)
      const stopped = await counter()
      await delay(100)
      assert.equal(await counter(), stopped)
      await fence.thaw(cgroup)
      assert.equal(await fence.isFrozen(cgroup), false)
      await eventually('it counts on', async () => (await counter()) > stopped, 5_000, 10)
    }),
  )

  test(`version ${version}: a paused container runs after pod and container are thawed`, { skip }, () =>
    withPod(async ({ root, cgroup, counter }) => {
      const fence = createFence(root)
      await delay(100)
      await pause(root, cgroup)
      await freeze(root, cgroup)
      const stopped = await counter()
      await fence.thaw(cgroup)
      await delay(100)
      assert.equal(await counter(), stopped)
      await fence.thawWithin(cgroup)
      await eventually('it counts on', async () => (await counter()) > stopped, 5_000, 10)
    }),
  )

  test(`version ${version}: a killed pod whose container is paused dies without one more instruction`, { skip }, () =>
    withPod(async ({ root, cgroup, counter }) => {
      const fence = createFence(root)
      await delay(100)
      await pause(root, cgroup)
      await freeze(root, cgroup)
      const stopped = await counter()
      await fence.killAll(cgroup)
      assert.equal(await counter(), stopped)
      assert.equal(await readFile(join(root, freezerFolder(cgroup), 'container/cgroup.procs'), 'utf8'), '')
    }),
  )

  test(`version ${version}: a killed pod executes nothing more, not even its SIGTERM handler`, { skip }, () =>
    withPod(async ({ root, cgroup, counter }) => {
      const fence = createFence(root)
      await delay(100)
      await freeze(root, cgroup)
      const stopped = await counter()
      const pids = (await readFile(join(root, freezerFolder(cgroup), 'container/cgroup.procs'), 'utf8'))
        .trim()
        .split('\n')
      for (const pid of pids) process.kill(Number(pid), 'SIGTERM')
      await fence.killAll(cgroup)
      await delay(100)
      assert.equal(await counter(), stopped)
      assert.equal(await readFile(join(root, freezerFolder(cgroup), 'container/cgroup.procs'), 'utf8'), '')
    }),
  )
}

test('a cgroup that is gone is thawed and empty already', async () => {
  const root = await mkdtemp(join(tmpdir(), 'podferry-freezer-'))
  const gone: PodCgroup = { version: 1, path: '/gone', memoryPath: '/gone' }
  const fence = createFence(root)
  assert.equal(await fence.state(gone), 'gone')
  await fence.thaw(gone)
  await fence.killAll(gone)
  await fence.thawWithin(gone)
  await assert.rejects(fence.freeze(gone), { reason: 'FreezeFailed' })
  await rm(root, { recursive: true })
})
