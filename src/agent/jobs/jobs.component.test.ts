/** Real processes in real cgroups of this machine: needs root. */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { eventually } from '../../../lab/scenario/eventually.ts'
import type { JobCgroup } from './job-cgroups.ts'
import { createJobs } from './jobs.ts'
import { statOf } from './processes.ts'

const NAME = `podferry-test-${process.pid}`
const HIERARCHIES = [['freezer'], ['cpuset'], ['pids'], ['memory'], ['unified', '']]
const cgroups: JobCgroup[] = HIERARCHIES.map((mounts) => ({ mounts, path: `/${NAME}` }))
const skip = process.getuid?.() === 0 ? false : 'needs root'

async function withFolder(run: (folder: string, jobs: ReturnType<typeof createJobs>) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'podferry-jobs-'))
  const jobs = createJobs('/', cgroups)
  try {
    await run(folder, jobs)
  } finally {
    await jobs.kill(folder, 'nap')
    await rm(folder, { recursive: true })
  }
  const left = ['freezer', 'cpuset', 'pids', 'memory', 'unified', ''].filter((mount) =>
    existsSync(join('/sys/fs/cgroup', mount, NAME)),
  )
  assert.deepEqual(left, [], 'cgroups stay behind')
}

const ended = (jobs: ReturnType<typeof createJobs>, folder: string) =>
  eventually('the job has ended', async () => (await jobs.state(folder, 'nap')).is === 'ended', 5000, 10)

test('a job says what it says, reads what it is given, and its exit code is kept', { skip }, () =>
  withFolder(async (folder, jobs) => {
    assert.deepEqual(await jobs.state(folder, 'nap'), { is: 'absent' })
    // Arguments stay as they are: nothing of them is read by a shell.
    const argv = ['/bin/sh', '-c', 'read -r word; echo "$word" "$1"; echo byte >&3; exit 7', 'sh', '$(id) "; exit 1']
    await jobs.start({ folder, name: 'nap', argv, onNode: false, stdin: 'secret\n', statusFile: `${folder}/status` })
    await ended(jobs, folder)
    assert.deepEqual(await jobs.state(folder, 'nap'), { is: 'ended', exitCode: 7 })
    assert.equal(await readFile(join(folder, 'nap.log'), 'utf8'), 'secret $(id) "; exit 1\n')
    assert.equal(await readFile(join(folder, 'status'), 'utf8'), 'byte\n')
    await jobs.start({ folder, name: 'nap', argv: ['/bin/true'], onNode: false })
    await ended(jobs, folder)
    assert.deepEqual(await jobs.state(folder, 'nap'), { is: 'ended', exitCode: 0 })
  }),
)

test('a job lives in its own cgroup of every hierarchy, and only one of a name runs', { skip }, () =>
  withFolder(async (folder, jobs) => {
    await jobs.start({ folder, name: 'nap', argv: ['/bin/sleep', '60'], onNode: false })
    const state = await jobs.state(folder, 'nap')
    assert.equal(state.is, 'running')
    const own = await readFile(`/proc/${state.is === 'running' ? state.pid : 0}/cgroup`, 'utf8')
    for (const controller of ['freezer', 'cpuset', 'pids', 'memory']) {
      if (existsSync(`/sys/fs/cgroup/${controller}`)) assert.match(own, new RegExp(`:${controller}:/${NAME}\n`))
    }
    const again = jobs.start({ folder, name: 'nap', argv: ['/bin/true'], onNode: false })
    await assert.rejects(again, { reason: 'JobRunning' })
    await jobs.removeCgroup()
    assert.ok((await jobs.state(folder, 'nap')).is === 'running', 'a cgroup in use stays')
  }),
)

/** In the folder `child` the job writes the IDs of two processes that do not end by themselves. */
const FAMILY = 'sleep 60 & echo $! >child; (trap "" TERM HUP; sleep 60) & echo $! >>child; wait'

const childrenIn = (folder: string) =>
  eventually(
    'both children have begun',
    async () => {
      const pids = (await readFile(join(folder, 'child'), 'utf8')).trim().split('\n').map(Number)
      return pids.length === 2 && pids
    },
    5000,
    10,
  )

test('what the program has begun is known to live when the program was killed', { skip }, () =>
  withFolder(async (folder, jobs) => {
    assert.equal(await jobs.lives(folder, 'nap'), false)
    await jobs.start({ folder, name: 'nap', argv: ['/bin/sh', '-c', 'sleep 60 & kill -KILL $$'], onNode: false })
    await ended(jobs, folder)
    assert.equal(await jobs.lives(folder, 'nap'), true)
    await jobs.kill(folder, 'nap')
    assert.equal(await jobs.lives(folder, 'nap'), false)
  }),
)

test('on a disk that became full meanwhile the exit code is kept, and a kill ends well', { skip }, () =>
  withFolder(async (folder, jobs) => {
    const disk = join(folder, 'disk')
    await mkdir(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'podferry-test', disk])
    try {
      const argv = ['/bin/sh', '-c', 'until [ -e go ]; do sleep 0.02; done; exit 3']
      await jobs.start({ folder: disk, name: 'nap', argv, cwd: disk, onNode: false })
      await jobs.start({ folder: disk, name: 'other', argv: ['/bin/sleep', '60'], onNode: false })
      await assert.rejects(writeFile(join(disk, 'filler'), Buffer.alloc(1 << 20)), { code: 'ENOSPC' })
      execFileSync('touch', [join(disk, 'go')])
      await ended(jobs, disk)
      assert.deepEqual(await jobs.state(disk, 'nap'), { is: 'ended', exitCode: 3 })
      await jobs.kill(disk, 'other')
      assert.deepEqual(await jobs.state(disk, 'other'), { is: 'ended', exitCode: 137 })
    } finally {
      execFileSync('umount', ['-l', disk])
    }
  }),
)

test('a kill takes all that the job has begun', { skip }, () =>
  withFolder(async (folder, jobs) => {
    await jobs.start({ folder, name: 'nap', argv: ['/bin/sh', '-c', FAMILY], onNode: false, cwd: folder })
    const children = await childrenIn(folder)
    await jobs.kill(folder, 'nap')
    for (const pid of children) assert.ok((await statOf(pid))?.zombie ?? true, `${pid} lives`)
    assert.deepEqual(await jobs.state(folder, 'nap'), { is: 'ended', exitCode: 137 })
  }),
)

test('a job in the namespaces of process 1 is found and killed like any other', { skip }, () =>
  withFolder(async (folder) => {
    // Process 1 of this machine need not be ours: a small node is made, the agent runs in it.
    const agent = join(folder, 'agent.ts')
    await writeFile(
      agent,
      `import { readFileSync } from 'node:fs'
       import { setTimeout as delay } from 'node:timers/promises'
       import { createJobs } from ${JSON.stringify(join(import.meta.dirname, 'jobs.ts'))}
       import { statOf } from ${JSON.stringify(join(import.meta.dirname, 'processes.ts'))}
       const folder = ${JSON.stringify(folder)}
       const children = () => { try { return readFileSync(folder + '/child', 'utf8').trim().split('\\n').map(Number) } catch { return [] } }
       const jobs = createJobs('/', [])
       await jobs.start({ folder, name: 'nap', argv: ['/bin/sh', '-c', ${JSON.stringify(FAMILY)}], onNode: true, cwd: folder })
       while (children().length < 2) await delay(10)
       const before = (await Promise.all(children().map(statOf))).map((stat) => stat?.zombie)
       await jobs.kill(folder, 'nap')
       const after = (await Promise.all(children().map(statOf))).map((stat) => stat?.zombie ?? true)
       console.log(JSON.stringify({ before, after, state: await jobs.state(folder, 'nap') }))`,
    )
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--fork', '--mount-proc']
    const { stdout } = await promisify(execFile)('unshare', [...namespaces, process.execPath, agent], {
      timeout: 10_000,
    })
    assert.deepEqual(JSON.parse(stdout), {
      before: [false, false],
      after: [true, true],
      state: { is: 'ended', exitCode: 137 },
    })
  }),
)

test('what the leader leaves behind is killed too', { skip }, () =>
  withFolder(async (folder, jobs) => {
    const argv = ['/bin/sh', '-c', 'sleep 60 & echo $! >child; kill -9 $$']
    await jobs.start({ folder, name: 'nap', argv, onNode: false, cwd: folder })
    await ended(jobs, folder)
    const child = Number(await readFile(join(folder, 'child'), 'utf8'))
    assert.equal((await statOf(child))?.zombie, false)
    await jobs.kill(folder, 'nap')
    assert.ok((await statOf(child))?.zombie ?? true)
  }),
)

test('a job outlives its starter, and the next one finds it', { skip }, () =>
  withFolder(async (folder, jobs) => {
    const starter = join(folder, 'starter.ts')
    await writeFile(
      starter,
      `import { createJobs } from ${JSON.stringify(join(import.meta.dirname, 'jobs.ts'))}
       await createJobs('/', ${JSON.stringify(cgroups)}).start({ folder: ${JSON.stringify(folder)}, name: 'nap', argv: ['/bin/sh', '-c', 'until [ -e go ]; do sleep 0.02; done; exit 3'], cwd: ${JSON.stringify(folder)}, onNode: false })
       process.kill(process.pid, 'SIGKILL')`,
    )
    const [, signal] = await once(spawn(process.execPath, [starter], { stdio: 'inherit' }), 'exit')
    assert.equal(signal, 'SIGKILL')
    assert.equal((await jobs.state(folder, 'nap')).is, 'running')
    await writeFile(join(folder, 'go'), '')
    await ended(jobs, folder)
    assert.deepEqual(await jobs.state(folder, 'nap'), { is: 'ended', exitCode: 3 })
  }),
)

test('a process that has got the ID of a dead job is neither the job nor killed', { skip }, () =>
  withFolder(async (folder, jobs) => {
    const other = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' })
    try {
      await once(other, 'spawn')
      await writeFile(join(folder, 'nap.pid'), `${other.pid} 1\n`)
      assert.deepEqual(await jobs.state(folder, 'nap'), { is: 'lost' })
      await jobs.kill(folder, 'nap')
      assert.equal(other.exitCode ?? other.signalCode, null)
    } finally {
      other.kill('SIGKILL')
    }
  }),
)
