/** A node in a scratch folder: its /proc, a containerd that reads its configuration as the real one does, a runc and a CRIU. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'smol-toml'
import type { CriClient } from '../../runtime/cri.ts'
import { importedFolders, readToml, type Table } from '../containerd-config.ts'
import type { CommandResult, NodeCommands } from '../node-commands.ts'

const CONFIG = '/etc/containerd/config.toml'
const PID = '60'
const DEFAULTS: Table = {
  runtimes: { runc: { runtime_type: 'io.containerd.runc.v2', options: { SystemdCgroup: false } } },
}

interface FakeNode extends NodeCommands {
  cri: Pick<CriClient, 'version' | 'statusInfo'>
  restarts: string[]
  /** What a restart does besides; to be replaced by tests. */
  breaksAtRestart: boolean
}

interface FakeNodeOptions {
  root: string
  /** containerd 1 has one CRI plugin and takes its section whole from the last file that has it. */
  containerd?: 1 | 2
  /** The main configuration; undefined: there is no file. */
  config?: string | undefined
  systemd?: boolean
  runtimeName?: string
}

export async function createFakeNode(options: FakeNodeOptions): Promise<FakeNode> {
  const { root, containerd = 2, config, systemd = false, runtimeName = 'containerd' } = options
  const plugin = containerd === 1 ? 'io.containerd.grpc.v1.cri' : 'io.containerd.cri.v1.runtime'
  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  await put('proc/1/net/unix', '00: 00000002 00000000 00010000 0001 01 777 /run/containerd/containerd.sock\n')
  await put('proc/1/comm', systemd ? 'systemd\n' : 'sh\n')
  await put(`proc/${PID}/cmdline`, 'containerd\0')
  await put(`proc/${PID}/environ`, 'HOME=/\0PATH=/usr/sbin:/sbin\0')
  await put(`proc/${PID}/cgroup`, '4:freezer:/\n1:name=systemd:/system.slice/containerd.service\n')
  await put('proc/sys/fs/pipe-max-size', '1048576\n')
  await mkdir(join(root, `proc/${PID}/fd`))
  await symlink('socket:[777]', join(root, `proc/${PID}/fd/3`))
  if (config !== undefined) await put(CONFIG, config)

  async function dump(): Promise<Table> {
    const main = readToml(await readFile(join(root, CONFIG), 'utf8').catch(() => ''), CONFIG)
    const files = [main]
    for (const folder of importedFolders(main)) {
      for (const name of (await readdir(join(root, folder)).catch(() => [])).sort()) {
        if (name.endsWith('.toml')) files.push(readToml(await readFile(join(root, folder, name), 'utf8'), name))
      }
    }
    const sections = files.map((file) => (file.plugins as Record<string, Table> | undefined)?.[plugin]).filter(isTable)
    const cri = containerd === 1 ? (sections.at(-1) ?? {}) : sections.reduce(merge, {})
    const version = containerd === 1 ? 2 : 4
    return { version, imports: main.imports ?? [], plugins: { [plugin]: merge({ containerd: DEFAULTS }, cri) } }
  }

  let running = await dump()
  const answer = async (argv: readonly string[]): Promise<string | undefined> => {
    const command = argv.join(' ')
    if (command.endsWith('config dump')) return stringify(await dump())
    if (command.startsWith('kill ') || command.startsWith('systemctl ')) {
      node.restarts.push(command)
      if (!node.breaksAtRestart) running = await dump()
      return ''
    }
    const answers: [RegExp, string][] = [
      [/ readlink -f \/proc\/60\/exe$/, '/usr/bin/containerd\n'],
      [/ command -v /, '/usr/sbin/runc\n'],
      [/ checkpoint --help$/, '--lazy-pages --status-fd --page-server'],
      [/ criu --version$/, 'Version: 4.2\n'],
      [/ criu check /, ''],
      [/podferry-runc --version$/, 'runc version 1.3.6\n'],
    ]
    return answers.find(([pattern]) => pattern.test(command))?.[1]
  }

  const node: FakeNode = {
    restarts: [],
    breaksAtRestart: false,
    async exec(argv): Promise<CommandResult> {
      const stdout = await answer(argv)
      return stdout === undefined ? { code: 127, stdout: '', stderr: argv.join(' ') } : { code: 0, stdout, stderr: '' }
    },
    cri: {
      version: async () => ({ runtimeName, runtimeVersion: 'v2.3.4' }),
      async statusInfo() {
        const { containerd: section } = (running.plugins as Record<string, { containerd: Table }>)[plugin] ?? {}
        const runtimes = Object.entries(section?.runtimes as Record<string, Table>).map(([name, runtime]) => [
          name,
          { PodAnnotations: runtime.pod_annotations ?? null, options: runtime.options ?? null },
        ])
        return { config: JSON.stringify({ containerd: { runtimes: Object.fromEntries(runtimes) } }) }
      },
    },
  }
  return node
}

const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null && !Array.isArray(value)

function merge(below: Table, above: Table): Table {
  const merged: Table = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const former = merged[key]
    merged[key] = isTable(former) && isTable(value) ? merge(former, value) : value
  }
  return merged
}
