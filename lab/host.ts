/** What the machine must be and which of its programs the lab uses. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { LabError } from './lab-error.ts'
import { attempt, run } from './run.ts'

/** @throws LabError (exit code 2) in one sentence when this is not Linux or not root. */
export function requireRootOnLinux(platform: string = process.platform, uid = process.getuid?.()): void {
  if (platform !== 'linux')
    throw new LabError(
      `the lab needs Linux namespaces and cgroups, and this is ${platform}: run it on a Linux machine`,
      {
        exitCode: 2,
      },
    )
  if (uid !== 0)
    throw new LabError('the lab makes namespaces, mounts and cgroups, which needs root: run it with sudo', {
      exitCode: 2,
    })
}

export function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Program → the Debian packages that bring it. */
const TOOLS: Record<string, string[]> = {
  debootstrap: ['debootstrap'],
  gcc: ['gcc', 'libc6-dev'],
  ip: ['iproute2'],
  nsenter: ['util-linux'],
  tar: ['tar'],
  tc: ['iproute2'],
  unshare: ['util-linux'],
  xz: ['xz-utils'],
}

export function missingTools(): string[] {
  return Object.keys(TOOLS).filter((program) => !isOnPath(program))
}

export async function installTools(): Promise<void> {
  await installPackages(missingTools().flatMap((program) => TOOLS[program] ?? []))
}

/** @throws LabError when apt-get is not there or fails. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  if (packages.length === 0) return
  if (!isOnPath('apt-get'))
    throw new LabError(`this machine lacks ${packages.join(', ')} and has no apt-get: install them by hand`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages]
  // The machine's package lists may be absent or old: only then are they fetched.
  if ((await attempt(install, { env })).code === 0) return
  await run(['apt-get', 'update', '-qq'], { env })
  await run(install, { env })
}
