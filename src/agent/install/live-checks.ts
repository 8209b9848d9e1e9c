/** Whether the node's own programs can do what a live move asks of them. */
import { PodferryError } from '../../errors.ts'
import type { NodeCommands } from './node-commands.ts'

const TIMEOUT_MS = 15_000
/** The oldest that live moves were proven with. */
const OLDEST_CRIU = [4, 1] as const
/** Pages are served on demand only where the kernel tells of faults, forks and unmaps of others. */
const CRIU_FEATURES = ['uffd', 'uffd-noncoop']
const RUNC_FLAGS = ['--lazy-pages', '--page-server', '--status-fd']

interface Programs {
  /** As containerd and its shims search it. */
  path: string
  /** A path or a name on `path`. */
  runc: string
}

/**
 * @returns the OCI runtime's absolute path on the node
 * @throws PodferryError `RuncMissing`, `RuncTooOld`, `CriuMissing`, `CriuTooOld`, `LazyPagesMissing`
 */
export async function checkPrograms(node: NodeCommands, { path, runc }: Programs): Promise<string> {
  const run = (...argv: string[]) => node.exec(['env', `PATH=${path}`, ...argv], { timeoutMs: TIMEOUT_MS })

  const { stdout } = await run('sh', '-c', 'command -v "$1"', 'sh', runc)
  const real = stdout.trim()
  if (!real.startsWith('/')) {
    throw unable('RuncMissing', `the node has no ${runc} on containerd's PATH (${path}); install runc`)
  }
  const { stdout: help } = await run(real, 'checkpoint', '--help')
  const missing = RUNC_FLAGS.filter((flag) => !help.includes(flag))
  if (missing.length > 0) {
    throw unable(
      'RuncTooOld',
      `${real} checkpoint of the node knows no ${missing.join(', ')}; install runc 1.3 or newer`,
    )
  }

  const version = await run('criu', '--version')
  const [, major, minor] = /Version: (\d+)\.(\d+)/.exec(version.stdout) ?? []
  if (version.code !== 0 || major === undefined) {
    throw unable('CriuMissing', `the node has no working criu on containerd's PATH (${path}); install CRIU 4.2`)
  }
  if (Number(major) < OLDEST_CRIU[0] || (Number(major) === OLDEST_CRIU[0] && Number(minor) < OLDEST_CRIU[1])) {
    throw unable('CriuTooOld', `CRIU ${major}.${minor} of the node is too old for live moves; install 4.2 or newer`)
  }
  for (const feature of CRIU_FEATURES) {
    const { code, stderr } = await run('criu', 'check', '--feature', feature)
    if (code === 0) continue
    const said = stderr.trim().split('\n').at(-1) ?? ''
    throw unable('LazyPagesMissing', `the node's kernel or CRIU has no ${feature}, which live moves need: ${said}`)
  }
  return real
}

const unable = (reason: string, message: string) => new PodferryError({ reason, message, retry: 'afterChange' })
