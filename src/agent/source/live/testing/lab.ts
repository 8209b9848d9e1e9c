/** The source side's effects on a node of the lab: real runc, CRIU and freezer; keepers that only hold the connection. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import type { AgentContext } from '../../../context.ts'
import { createFence } from '../../../fence/fence.ts'
import type { NodeCommands } from '../../../install/node-commands.ts'
import { createJobs, type Jobs } from '../../../jobs/jobs.ts'
import { openJournal } from '../../../journal.ts'
import type { KeeperPhase, KeeperState } from '../../../pages/keeper-state.ts'
import type { Keepers } from '../../../pages/keepers.ts'
import type { LiveSourceDependencies } from '../dependencies.ts'
import { liveEntrySchema } from '../entry.ts'
import { createPlaces } from '../places.ts'

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const LINK = '/opt/podferry/bin/runc'

/** @param init process ID of the node's first process */
export async function labDependencies(
  { hostRoot, log }: AgentContext,
  init: number,
  folder: string,
): Promise<LiveSourceDependencies & { keepers: LabKeepers; close(): Promise<void> }> {
  const enter = ['nsenter', '-t', String(init), '-m', '-u', '-i', '-n', '-p', '--']
  const run = async (argv: readonly string[]) =>
    await promisify(execFile)('nsenter', [...enter.slice(1), ...argv], { env: { PATH } })
  const { stdout } = await run(['sh', '-c', 'command -v runc'])
  await mkdir(join(hostRoot, '/opt/podferry/bin'), { recursive: true })
  await rm(join(hostRoot, LINK), { force: true })
  await symlink(stdout.trim(), join(hostRoot, LINK))

  // The lab's nodes are PID namespaces of this machine: its process 1 is not theirs.
  const jobs = createJobs(hostRoot)
  const onLabNode: Jobs = {
    ...jobs,
    start: (spec) => jobs.start(spec.onNode ? { ...spec, onNode: false, argv: [...enter, ...spec.argv] } : spec),
  }
  const node: NodeCommands = {
    exec: async (argv) => {
      try {
        return { code: 0, ...(await run(argv)) }
      } catch (error) {
        const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
        return { code, stdout, stderr }
      }
    },
  }
  const keepers = labKeepers(init, log)
  const mounts = () => readFile(`/proc/${init}/mounts`, 'utf8')
  return {
    ...{ jobs: onLabNode, node, keepers, fence: createFence(hostRoot) },
    places: createPlaces(hostRoot, { node, mounts }),
    unmark: () => Promise.resolve(),
    preflight: () => Promise.resolve(),
    journal: await openJournal({ folder: join(folder, 'journal'), schema: liveEntrySchema, log }),
    files: {
      sourceRoots: () => Promise.resolve([]),
      isNeeded: () => Promise.resolve(true),
      packFiles: () => {
        throw new Error('nothing is packed here')
      },
      packImages: () => {
        throw new Error('nothing is packed here')
      },
    },
    storage: { sync: () => Promise.resolve() },
    openPeer: () => ({
      begin: () => Promise.resolve(),
      sendFiles: () => Promise.reject(new Error('nothing is sent here')),
      sendImages: () => Promise.reject(new Error('nothing is sent here')),
    }),
    ...{ kubeletRoot: '/var/lib/kubelet', address: '127.0.0.1', wake: () => undefined, checkIdentity: () => undefined },
    sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
    recorder: { event: () => undefined, flush: async () => undefined },
    async close() {
      for (const { child } of keepers.connections.values()) child.kill('SIGKILL')
      await rm(join(hostRoot, LINK), { force: true })
    },
  }
}

interface LabKeepers extends Keepers {
  readonly connections: Map<string, { child: ChildProcess; phase: KeeperPhase }>
  /** From now on abort has no effect, as when keeper and holder hang. */
  hang: boolean
}

const CONNECTION = `
const socket = require('node:net').connect({ host: '127.0.0.1', port: Number(process.argv[1]), allowHalfOpen: true })
socket.on('connect', () => console.log('open'))
socket.on('error', () => process.exit(1))
process.stdin.on('data', () => socket.write(Buffer.alloc(64, 0xff)))
socket.resume()
`

function labKeepers(init: number, log: Logger): LabKeepers {
  const connections: LabKeepers['connections'] = new Map()
  const keepers: LabKeepers = {
    ...{ connections, hang: false },
    startSource: () => Promise.resolve({ port: 1 }),
    prepare: () => Promise.reject(new Error('not here')),
    startDestination: () => Promise.reject(new Error('not here')),
    async state(folder): Promise<KeeperState | undefined> {
      const phase = connections.get(folder)?.phase ?? 'waiting'
      return { phase, connected: true, sentBytes: 0, receivedBytes: 0, silentMs: 0, port: 1 }
    },
    async open(folder, port) {
      const argv = ['-t', String(init), '-n', '--', process.execPath, '-e', CONNECTION, String(port)]
      const child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      connections.set(folder, { child, phase: 'open' })
      log.info({ folder, port }, 'opened')
    },
    async abort(folder) {
      const connection = connections.get(folder)
      if (connection === undefined || keepers.hang) return
      connection.phase = 'aborted'
      connection.child.stdin?.write('abort')
    },
    async end(folder) {
      connections.get(folder)?.child.kill('SIGKILL')
      connections.delete(folder)
    },
  }
  return keepers
}
