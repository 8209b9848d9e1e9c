/** Compiles Kubernetes, containerd and runc from their Go modules. */
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rebuild } from '../cache.ts'
import { LabError } from '../lab-error.ts'
import { CACHE } from '../places.ts'
import { CONTAINERD_PROGRAM, type GoProgram, KUBERNETES_PROGRAM, RUNC_PROGRAM } from './binaries.ts'
import { type GoToolchain, toolchain } from './go-toolchain.ts'

const VERSION_PACKAGE = 'k8s.io/component-base/version'
const CONTAINERD_MODULE = 'github.com/containerd/containerd/v2'
const RUNC_MODULE = 'github.com/opencontainers/runc'

/** Gives `work` an empty source folder, and puts the files that it built into the program's cache entry. */
async function build(
  program: GoProgram,
  work: (go: GoToolchain, source: string, outputs: string) => Promise<void>,
): Promise<void> {
  const go = await toolchain(join(CACHE, 'build'))
  const source = join(go.workspace, program.entry.name.replace('bin/', ''))
  const outputs = join(source, 'out')
  await rm(source, { recursive: true, force: true })
  await mkdir(outputs, { recursive: true })
  await work(go, source, go.ownPath(outputs))
  await rebuild(program.entry, async (folder) => {
    for (const file of program.files) {
      // The builder's tree may be on another file system one day; today a rename is enough.
      await rename(join(outputs, file), join(folder, file))
    }
  })
  await rm(source, { recursive: true, force: true })
}

/**
 * `k8s.io/kubernetes` names its staging modules as v0.0.0 and replaces them by folders of its own repository; whoever
 * imports it must replace each by the published module of the same release.
 * @param goMod the text of its go.mod.
 * @returns a go.mod for a program that imports it.
 */
export function kubernetesModule(goMod: string, version: string): string {
  const staging = new Set<string>()
  for (const line of goMod.split('\n')) {
    const found = /^\s*(k8s\.io\/[a-z-]+)(?: v0\.0\.0$| => \.\/staging)/.exec(line)
    if (found?.[1] !== undefined) staging.add(found[1])
  }
  const goVersion = /^go (\S+)$/m.exec(goMod)?.[1]
  if (goVersion === undefined || staging.size === 0)
    throw new LabError(`the go.mod of k8s.io/kubernetes ${version} has another form than expected`)
  const published = `v${version.replace(/^1\./, '0.')}`
  const replaces = [...staging].sort().map((module) => `  ${module} => ${module} ${published}`)
  return `module lab/kubernetes

go ${goVersion}

require k8s.io/kubernetes v${version}

replace (
${replaces.join('\n')}
)
`
}

export async function buildKubernetes(): Promise<void> {
  await build(KUBERNETES_PROGRAM, async ({ go, hostPath }, source, outputs) => {
    const version = KUBERNETES_PROGRAM.version
    const download = JSON.parse(await go(['mod', 'download', '-json', `k8s.io/kubernetes@v${version}`], source)) as {
      GoMod: string
    }
    await writeFile(join(source, 'go.mod'), kubernetesModule(await readFile(hostPath(download.GoMod), 'utf8'), version))
    await copyFile(join(import.meta.dirname, 'kube-main.go.txt'), join(source, 'main.go'))
    await go(['mod', 'tidy'], source)
    const [major = '', minor = ''] = version.split('.')
    const stamp = Object.entries({ gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' })
    const flags = ['-s', '-w', ...stamp.flatMap(([name, value]) => ['-X', `${VERSION_PACKAGE}.${name}=${value}`])]
    await go(['build', '-trimpath', '-ldflags', flags.join(' '), '-o', `${outputs}/kube`, '.'], source, {
      CGO_ENABLED: '0',
    })
  })
}

/** A module of our own that only pins `module` and imports the commands, so that their dependencies are resolved. */
async function importModule(go: GoToolchain, source: string, module: string, commands: readonly string[]) {
  await go.go(['mod', 'init', 'lab/tools'], source)
  await go.go(['get', module], source)
  const imports = commands.map((command) => `import _ "${command}"\n`).join('')
  await writeFile(join(source, 'tools.go'), `//go:build tools\n\npackage tools\n\n${imports}`)
  await go.go(['mod', 'tidy'], source)
}

export async function buildContainerd(): Promise<void> {
  await build(CONTAINERD_PROGRAM, async (go, source, outputs) => {
    const version = CONTAINERD_PROGRAM.version
    const commands = CONTAINERD_PROGRAM.files.map((name) => `${CONTAINERD_MODULE}/cmd/${name}`)
    await importModule(go, source, `${CONTAINERD_MODULE}@v${version}`, commands)
    const flags = `-s -w -X ${CONTAINERD_MODULE}/version.Version=v${version}`
    const tags = 'no_btrfs no_devmapper no_zfs'
    await go.go(['build', '-trimpath', '-tags', tags, '-ldflags', flags, '-o', `${outputs}/`, ...commands], source, {
      CGO_ENABLED: '0',
    })
  })
}

export async function buildRunc(): Promise<void> {
  await build(RUNC_PROGRAM, async (go, source, outputs) => {
    const version = RUNC_PROGRAM.version
    await importModule(go, source, `${RUNC_MODULE}@v${version}`, [RUNC_MODULE])
    const flags = `-s -w -extldflags -static -X main.version=${version}`
    const tags = 'seccomp netgo osusergo'
    await go.go(
      ['build', '-trimpath', '-tags', tags, '-ldflags', flags, '-o', `${outputs}/runc`, RUNC_MODULE],
      source,
      {
        CGO_ENABLED: '1',
      },
    )
  })
}
