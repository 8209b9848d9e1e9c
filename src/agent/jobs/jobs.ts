/** Processes on the node that outlive the agent's container: started once, looked at and killed by whichever agent comes later. */
import { type SpawnOptions, spawn } from 'node:child_process'
import { type FileHandle, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { PodferryError } from '../../errors.ts'
import { createTurns } from '../../turns.ts'
import { type JobCgroup, jobCgroupsOf, openJobCgroups, removeJobCgroups } from './job-cgroups.ts'
import { type JobFiles, jobFiles, readExitCode, readLogEnd, readPid, writeExitCode } from './job-files.ts'
import { sessionMembers, statOf } from './processes.ts'

interface JobSpec {
  /** Absolute on the node; it exists already, root-only. */
  folder: string
  /** Lower-case letters and dashes: what the files in the folder are called. */
  name: string
  argv: readonly string[]
  /** In the node's own namespaces, else in those of the agent's container. */
  onNode: boolean
  /** As the program sees it. */
  cwd?: string
  /** Written to its standard input, which is closed then: for secrets. */
  stdin?: string
  /** A fifo on the node: its standard input, which it holds open itself, so that what is said before it reads is not lost. */
  gate?: string
  /** On the node, opened for appending as descriptor 3. */
  statusFile?: string
}

/** `lost`: begun, but there is neither a process nor an exit code. */
export type JobState =
  | { is: 'absent' }
  | { is: 'running'; pid: number }
  | { is: 'ended'; exitCode: number }
  | { is: 'lost' }

export interface Jobs {
  /**
   * Resolves when the job lives by itself. What an earlier job of that name has left is replaced.
   *
   * @throws PodferryError `JobRunning` when one of that name runs, `JobNotStarted` when it could not enter its cgroup
   */
  start(spec: JobSpec): Promise<void>
  state(folder: string, name: string): Promise<JobState>
  /** Whether anything that the job has begun still lives: the program may have been killed, and what it had begun works on. */
  lives(folder: string, name: string): Promise<boolean>
  /**
   * SIGKILL for all that the job has begun; resolves when it is gone. Nothing when there is none.
   *
   * @throws PodferryError `KillFailed` after ten seconds
   */
  kill(folder: string, name: string): Promise<void>
}

const JOB = join(import.meta.dirname, '../../../runtime/job')
/** The agent's own environment stays out of jobs. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
const POLL_MS = 5
const PATIENCE_MS = 10_000
/** What a shell says of a program that died by SIGKILL. */
const KILLED = 137

/**
 * @param cgroups of the jobs; default: beside the kubepods that this process is in
 * @returns also `removeCgroup`, which is done after every `kill`: takes the cgroup away when no job is in it
 */
export function createJobs(hostRoot: string, cgroups?: readonly JobCgroup[]): Jobs & { removeCgroup(): Promise<void> } {
  const ownCgroups = async () => cgroups ?? jobCgroupsOf(await readFile('/proc/self/cgroup', 'utf8'))
  // A cgroup must not go between its making and the entering of a job.
  const inTurn = createTurns()
  const removeCgroup = () => inTurn('cgroup', async () => removeJobCgroups(hostRoot, await ownCgroups()))

  const state: Jobs['state'] = async (folder, name) => {
    const files = jobFiles(hostRoot, folder, name)
    const job = await readPid(files)
    if (job === undefined) return { is: 'absent' }
    const process = await statOf(job.pid)
    const runs = process !== undefined && process.startTime === job.startTime && !process.zombie
    // In this order: what ended in between has written its exit code.
    const exitCode = await readExitCode(files)
    if (exitCode !== undefined) return { is: 'ended', exitCode }
    return runs ? { is: 'running', pid: job.pid } : { is: 'lost' }
  }

  return {
    state,
    removeCgroup,
    async lives(folder, name) {
      const job = await readPid(jobFiles(hostRoot, folder, name))
      return job !== undefined && (await sessionMembers(job)).length > 0
    },
    async start(spec) {
      if ((await state(spec.folder, spec.name)).is === 'running') {
        const message = `job ${spec.name} runs in ${spec.folder} already; kill it first`
        throw new PodferryError({ reason: 'JobRunning', message })
      }
      const files = jobFiles(hostRoot, spec.folder, spec.name)
      for (const path of [files.exit, files.pid, files.log]) await rm(path, { force: true })
      await inTurn('cgroup', async () =>
        launch(hostRoot, spec, files, await openJobCgroups(hostRoot, await ownCgroups())),
      )
    },
    async kill(folder, name) {
      const files = jobFiles(hostRoot, folder, name)
      const job = await readPid(files)
      if (job === undefined) return
      const end = Date.now() + PATIENCE_MS
      for (let left = await sessionMembers(job); left.length > 0; left = await sessionMembers(job)) {
        if (Date.now() > end) {
          const message = `processes ${left.join(', ')} of job ${name} in ${folder} do not die; see their /proc/PID/stack`
          throw new PodferryError({ reason: 'KillFailed', message, retry: 'backoff' })
        }
        left.forEach(kill)
        await delay(POLL_MS)
      }
      if ((await readExitCode(files)) === undefined) await writeExitCode(files, KILLED)
      await removeCgroup()
    },
  }
}

async function launch(hostRoot: string, spec: JobSpec, files: JobFiles, procs: readonly string[]): Promise<void> {
  const handles: FileHandle[] = []
  const opened = async (path: string, flags = 'a') => {
    const file = await open(path, flags, 0o600)
    handles.push(file)
    return file.fd
  }
  try {
    const log = await opened(files.log)
    const gate = spec.gate === undefined ? undefined : await opened(join(hostRoot, spec.gate), 'r+')
    const status = spec.statusFile === undefined ? [] : [await opened(join(hostRoot, spec.statusFile))]
    const options: SpawnOptions = {
      // A session of its own, by which all its processes are found again.
      detached: true,
      env: ENVIRONMENT,
      stdio: [gate ?? (spec.stdin === undefined ? 'ignore' : 'pipe'), log, log, ...status],
      ...(spec.cwd === undefined || spec.onNode ? {} : { cwd: spec.cwd }),
    }
    const child = spawn('/bin/sh', [JOB, files.stem, ...procs, '--', ...programOf(spec)], options)
    let over: string | undefined
    child.once('error', (error) => {
      over = error.message
    })
    child.once('exit', (code, signal) => {
      over ??= `it ended at once (${signal ?? `exit code ${code}`})`
    })
    // A program that does not read to the end breaks the pipe; its exit code tells why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(spec.stdin)
    child.unref()
    while ((await readPid(files)) === undefined) {
      if (over !== undefined) {
        const message = `job ${spec.name} in ${spec.folder} did not start: ${over}: ${await readLogEnd(files)}`
        throw new PodferryError({ reason: 'JobNotStarted', message, retry: 'backoff' })
      }
      await delay(POLL_MS)
    }
  } finally {
    await Promise.all(handles.map((file) => file.close()))
  }
}

function programOf({ argv, onNode, cwd }: JobSpec): string[] {
  if (!onNode) return [...argv]
  // The folder is looked up where the program runs, not here.
  const where = cwd === undefined ? [] : [`--wdns=${cwd}`]
  // By its path: a busybox shell would take its own nsenter, which has no --wdns.
  return ['/usr/bin/nsenter', '-t', '1', '-m', '-u', '-i', '-n', '-p', ...where, '--', ...argv]
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
