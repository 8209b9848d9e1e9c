/** A Go that is new enough: the host's own, or Debian's in a tree beside. */
import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { cachePath, isFresh } from '../cache.ts'
import { installPackages, isOnPath } from '../host.ts'
import { LabError } from '../lab-error.ts'
import { attempt, run } from '../run.ts'
import { BUILDER_PACKAGES, GO_AT_LEAST } from '../versions.ts'
import { debianEntry, makeDebianTree } from './debian.ts'

const BUILDER = debianEntry('builder', BUILDER_PACKAGES)

export interface GoToolchain {
  /** Host folder below which sources and results must lie. */
  workspace: string
  /** Runs `go` with `args` in a host folder below the workspace and @returns its standard output. */
  go: (args: readonly string[], cwd: string, env?: Record<string, string>) => Promise<string>
  /** @returns a host path that `go` printed, as the host sees it. */
  hostPath: (path: string) => string
  /** @returns a host path as `go` must be given it. */
  ownPath: (path: string) => string
}

/** @param text what `go version` prints, e.g. `go version go1.26.8 linux/amd64`. */
export function isNewEnough(text: string): boolean {
  const found = /\bgo(\d+)\.(\d+)/.exec(text)
  const [major, minor] = [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)]
  return major > GO_AT_LEAST[0] || (major === GO_AT_LEAST[0] && minor >= GO_AT_LEAST[1])
}

async function hostGoIsNewEnough(): Promise<boolean> {
  if (!isOnPath('go')) return false
  return isNewEnough((await attempt(['go', 'version'])).stdout)
}

/** @returns whether nothing is left to be installed before Go programs can be compiled. */
export async function toolchainIsReady(): Promise<boolean> {
  return ((await hostGoIsNewEnough()) && existsSync('/usr/include/seccomp.h')) || (await isFresh(BUILDER))
}

export async function prepareToolchain(): Promise<void> {
  if (await hostGoIsNewEnough()) await installPackages(['gcc', 'libc6-dev', 'libseccomp-dev', 'pkg-config'])
  else await makeDebianTree(BUILDER, BUILDER_PACKAGES)
}

/** @param workspace a folder for sources and results when the host's Go is used. */
export async function toolchain(workspace: string): Promise<GoToolchain> {
  if (await hostGoIsNewEnough())
    return {
      workspace,
      go: (args, cwd, env = {}) => run(['go', ...args], { cwd, env: { ...process.env, ...env } }),
      hostPath: (path) => path,
      ownPath: (path) => path,
    }
  return inBuilder()
}

/** Files through which this machine's network and module proxy are set up; the builder needs the same. */
const NETWORK_SETTINGS = ['/etc/resolv.conf', '/etc/hosts', '/etc/ssl/certs/ca-certificates.crt']
const PASSED_ON = /^(https?_proxy|no_proxy|all_proxy|GO[A-Z0-9]+|SSL_CERT_FILE|SSL_CERT_DIR)$/i
/** Settings that name places on the host. */
const HOST_PLACES = new Set(['GOROOT', 'GOPATH', 'GOCACHE', 'GOMODCACHE', 'GOBIN', 'GOENV', 'GOTMPDIR'])

async function inBuilder(): Promise<GoToolchain> {
  const tree = cachePath(BUILDER)
  for (const file of NETWORK_SETTINGS) if (existsSync(file)) await copyFile(file, join(tree, file))
  const goSettings = join(homedir(), '.config/go/env')
  if (existsSync(goSettings)) {
    const copy = join(tree, 'root/.config/go/env')
    await mkdir(dirname(copy), { recursive: true })
    await copyFile(goSettings, copy)
  }
  const passed = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name) && !HOST_PLACES.has(name))
  const base = { ...Object.fromEntries(passed), PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' }
  const ownPath = (path: string) => {
    if (!path.startsWith(`${tree}/`)) throw new LabError(`${path} lies outside the builder's tree`)
    return path.slice(tree.length)
  }
  return {
    workspace: join(tree, 'build'),
    go: (args, cwd, env = {}) =>
      run(['chroot', tree, 'env', '-C', ownPath(cwd), 'go', ...args], { env: { ...base, ...env } }),
    hostPath: (path) => join(tree, path),
    ownPath,
  }
}
