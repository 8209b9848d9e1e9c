/** A lab machine (a node or the control plane): namespaces, a disk over the Debian tree, and supervised parts. */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readIfThere, sleep, writeWhole } from './files.ts'
import { LabError } from './lab-error.ts'
import { DEBIAN_TREE, type MachineName, machineFolder, netnsPath } from './places.ts'
import { isAlive, killHard, type ProcessIdentity } from './processes.ts'
import { type RunOptions, run } from './run.ts'

export interface Bind {
  /** A copy is for a program that looks at its own file through the file system below the mount, as runc does. */
  kind: 'folder' | 'file' | 'copy'
  /** Path on the host. */
  from: string
  /** Path in the machine, without leading slash. */
  to: string
}

export interface MachinePlan {
  name: MachineName
  /** Laid over the disk at each boot: path in the machine without leading slash → content. */
  files: Record<string, { content: string; mode?: number }>
  binds: Bind[]
  /** Part name → shell script that ends in `exec`. */
  parts: Record<string, string>
  /** What `machine-init.sh` mounts at /sys/fs/cgroup: `none`, `v2`, or version 1 mount options separated by spaces. */
  cgroups: string
}

/** @returns the machine's first process, if the machine runs. */
export async function initOf(machine: MachineName): Promise<ProcessIdentity | undefined> {
  const text = await readIfThere(join(machineFolder(machine), 'init'))
  if (text === undefined) return undefined
  const [pid, startTime = ''] = text.trim().split(' ')
  const identity = { pid: Number(pid), startTime }
  return (await isAlive(identity)) ? identity : undefined
}

/** @throws LabError when the machine does not run. */
export async function runningInit(machine: MachineName): Promise<number> {
  const init = await initOf(machine)
  if (init === undefined) throw new LabError(`${machine} does not run: start it with bin/lab up`)
  return init.pid
}

/** Writes the plan to disk and boots the machine in its network namespace, which must exist. */
export async function boot(plan: MachinePlan): Promise<void> {
  const folder = machineFolder(plan.name)
  await rm(join(folder, 'init'), { force: true })
  await rm(join(folder, 'files'), { recursive: true, force: true })
  for (const name of ['upper', 'work', 'root', 'parts', 'files'])
    await mkdir(join(folder, name), { recursive: true, mode: 0o755 })
  for (const [path, file] of Object.entries({ ...plan.files, ...(await supervisor()) })) {
    const target = join(folder, 'files', path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, file.content, { mode: file.mode ?? 0o644 })
  }
  for (const bind of plan.binds) if (bind.kind === 'folder') await mkdir(bind.from, { recursive: true })
  await writeWhole(join(folder, 'binds'), plan.binds.map((bind) => `${bind.kind} ${bind.from} ${bind.to}\n`).join(''))
  for (const [part, script] of Object.entries(plan.parts)) {
    await writeWhole(join(folder, 'parts', `${part}.sh`), `${script}\n`)
    await rm(join(folder, 'parts', `${part}.stopped`), { force: true })
  }

  const log = openSync(join(folder, 'console.log'), 'a')
  const child = spawn(
    'nsenter',
    [`--net=${netnsPath(plan.name)}`, '--', 'unshare', '--mount', '--uts', '--ipc', '--pid', '--fork']
      .concat(['--propagation', 'private', '--', '/bin/sh', join(import.meta.dirname, 'machine-init.sh')])
      .concat([plan.name, folder, DEBIAN_TREE, plan.cgroups]),
    { detached: true, stdio: ['ignore', log, log], cwd: '/', env: { PATH: process.env.PATH } },
  )
  closeSync(log)
  child.unref()
  let exited = false
  child.on('exit', () => {
    exited = true
  })
  child.on('error', () => {
    exited = true
  })
  const deadline = Date.now() + 20_000
  while (!(await isBooted(plan.name))) {
    if (exited || Date.now() > deadline) {
      const said = (await readIfThere(join(folder, 'console.log')))?.trim().split('\n').slice(-5).join('\n')
      throw new LabError(`${plan.name} did not boot: ${said || 'no output'}`)
    }
    await sleep(20)
  }
}

async function supervisor(): Promise<MachinePlan['files']> {
  const content = await readFile(join(import.meta.dirname, 'supervise.sh'), 'utf8')
  return { 'etc/podferry-lab/supervise.sh': { content } }
}

/** Booted = the first process has become the supervisor, in the machine's own root. */
async function isBooted(machine: MachineName): Promise<boolean> {
  const init = await initOf(machine)
  if (init === undefined) return false
  const commandLine = await readIfThere(`/proc/${init.pid}/cmdline`)
  return commandLine?.includes('/etc/podferry-lab/supervise.sh') ?? false
}

/** Kills the machine's first process: the kernel kills everything else in it. */
export async function killInit(machine: MachineName): Promise<void> {
  const init = await initOf(machine)
  if (init !== undefined) killHard(init.pid)
}

/** Waits for the end of a killed machine; a frozen process in it ends only when its cgroup is thawed. */
export async function awaitEnd(identity: ProcessIdentity): Promise<void> {
  const deadline = Date.now() + 10_000
  while (await isAlive(identity)) {
    if (Date.now() > deadline) throw new LabError(`process ${identity.pid} does not end`)
    await sleep(20)
  }
}

/** @returns `argv` made to run inside all of a machine's namespaces. */
export async function inMachine(machine: MachineName, argv: readonly string[]): Promise<string[]> {
  const pid = String(await runningInit(machine))
  return ['nsenter', '-t', pid, '-m', '-u', '-i', '-n', '-p', '--', ...argv]
}

/** The environment of a command in a machine: nothing of the caller's but the terminal. */
export function machineEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    ...(process.env.TERM === undefined ? {} : { TERM: process.env.TERM }),
  }
}

/** Runs a command inside a machine. @throws LabError when it fails. */
export async function execIn(machine: MachineName, argv: readonly string[], options: RunOptions = {}): Promise<string> {
  return run(await inMachine(machine, argv), { env: machineEnvironment(), ...options })
}
