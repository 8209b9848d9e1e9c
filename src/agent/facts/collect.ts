/** What this node can do and has, as far as preflight asks. What can't be found out is left out. */
import { access, readFile, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeFacts } from '../../api/node-facts.ts'
import { findContainerd } from '../install/containerd-process.ts'
import type { LiveAbility } from '../install/live.ts'
import type { NodeCommands } from '../install/node-commands.ts'
import type { CriClient } from '../runtime/cri.ts'
import { restoreSupport } from '../runtime/restore-support.ts'
import { cpuFeatures } from './cpu.ts'

export interface FactSources {
  hostRoot: string
  node: NodeCommands
  cri: Pick<CriClient, 'version' | 'statusInfo'>
  /** The runtime's socket and storage, on the node. */
  runtimeSocket: string
  runtimeRoot: string
  live: LiveAbility
  kubeletInsecureTls: boolean
  /** See KubeClient. */
  serverTime(): Promise<Date | undefined>
  now(): Date
}

type Part = Partial<NodeFacts>

const TIMEOUT_MS = 20_000
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What changes only when somebody installs something: programs are started for it. */
export async function slowFacts({ hostRoot, node, runtimeSocket }: FactSources): Promise<Part> {
  const path = await findContainerd(hostRoot, runtimeSocket).then(
    (found) => found.path,
    () => PATH,
  )
  const run = (...argv: string[]) => node.exec(['env', `PATH=${path}`, ...argv], { timeoutMs: TIMEOUT_MS })
  const [runc, criu, check] = await Promise.all([
    run('runc', '--version'),
    run('criu', '--version'),
    run('criu', 'check'),
  ])
  const version = criu.code === 0 ? (/Version: (\S+)/.exec(criu.stdout)?.[1] ?? '') : ''
  return {
    ...optional('runc', /version (\S+)/.exec(runc.stdout)?.[1]),
    criu: version,
    ...(version === '' ? {} : { criuCheck: check.code === 0 ? '' : complaint(check.stderr) }),
  }
}

/** CRIU prints errors first and a summary last. */
const complaint = (stderr: string): string => {
  const lines = stderr.trim().split('\n')
  const errors = lines.filter((line) => line.includes('Error ('))
  return (errors.length > 0 ? errors : lines.slice(-1)).join(' / ').slice(0, 400) || 'it does not say why'
}

/** What may change at any time, and costs nothing to read. */
export async function quickFacts(sources: FactSources): Promise<Part> {
  const { hostRoot, live, kubeletInsecureTls } = sources
  const text = (path: string) => readFile(join(hostRoot, path), 'utf8').catch(() => '')
  const [image, kernel, cpuinfo, meminfo, ioUring, cgroup, disk, clock] = await Promise.all([
    runtimeFacts(sources),
    text('/proc/sys/kernel/osrelease'),
    text('/proc/cpuinfo'),
    text('/proc/meminfo'),
    text('/proc/sys/kernel/io_uring_disabled'),
    access(join(hostRoot, '/sys/fs/cgroup/cgroup.controllers')).then(
      () => 2 as const,
      () => 1 as const,
    ),
    freeBytes(hostRoot, sources.runtimeRoot),
    clockAhead(sources),
  ])
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1]
  return {
    live,
    ...image,
    ...optional('kernel', kernel.trim() || undefined),
    ...optional('cpu', cpuFeatures(cpuinfo).join(' ') || undefined),
    ...optional('ioUringDisabled', /^\d+/.test(ioUring) ? Number.parseInt(ioUring, 10) : undefined),
    cgroup,
    ...optional('diskFreeBytes', disk === undefined ? undefined : roundedDown(disk)),
    ...optional('memoryFreeBytes', available === undefined ? undefined : roundedDown(Number(available) * 1024)),
    ...optional('clockAheadSeconds', clock),
    ...(kubeletInsecureTls ? { kubeletInsecureTls } : {}),
  }
}

/** A runtime that starts anew answers again within this time: that is no reason to refuse a move. */
const RUNTIME_PATIENCE_MS = 10_000
const RUNTIME_AGAIN_MS = 500

async function runtimeFacts({ cri, now }: FactSources): Promise<Pick<NodeFacts, 'image' | 'runtime'>> {
  for (const end = now().getTime() + RUNTIME_PATIENCE_MS; ; await sleep(RUNTIME_AGAIN_MS)) {
    try {
      const [version, info] = await Promise.all([cri.version(), cri.statusInfo()])
      return {
        runtime: `${version.runtimeName} ${version.runtimeVersion.replace(/^v/, '')}`,
        image: restoreSupport(version, info),
      }
    } catch (error) {
      const message = `the container runtime does not answer: ${(error as Error).message}`
      if (now().getTime() >= end) return { image: { able: false, message } }
    }
  }
}

async function freeBytes(hostRoot: string, path: string): Promise<number | undefined> {
  for (let current = path; ; current = dirname(current)) {
    const folder = join(hostRoot, current)
    if (await stat(folder).catch(() => undefined)) {
      return await statfs(folder).then(
        ({ bavail, bsize }) => bavail * bsize,
        () => undefined,
      )
    }
    if (current === '/') return undefined
  }
}

/** The API server tells whole seconds: two clocks that agree may look one apart. */
async function clockAhead({ serverTime, now }: FactSources): Promise<number | undefined> {
  const before = now().getTime()
  const there = await serverTime().catch(() => undefined)
  if (there === undefined) return undefined
  const seconds = Math.floor(((before + now().getTime()) / 2 - there.getTime()) / 1000)
  return Math.abs(seconds) <= 1 ? 0 : seconds
}

/** Steps of an eighth at most: what is told changes seldom, and never promises too much. */
export function roundedDown(bytes: number): number {
  if (bytes < 2 ** 20) return 0
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3)
  return Math.floor(bytes / step) * step
}

const optional = <K extends keyof NodeFacts>(key: K, value: NodeFacts[K] | undefined): Part =>
  value === undefined ? {} : { [key]: value }
