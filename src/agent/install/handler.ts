/** containerd's runtime handler `podferry` in the node's files: put there so that nothing else changes, and taken away. */
import { lstat, mkdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PodferryError } from '../../errors.ts'
import { replaceFile } from '../files.ts'
import {
  differences,
  dropIn,
  handlerIn,
  importedFolders,
  readToml,
  type Table,
  withHandler,
  withoutHandler,
} from './containerd-config.ts'
import type { ContainerdProcess } from './containerd-process.ts'
import type { NodeCommands } from './node-commands.ts'
import { readRecord, record } from './node-record.ts'
import { WRAPPER } from './programs.ts'

const DROP_IN = 'podferry.toml'
const DEFAULT_FILES = ['/etc/containerd/conf.d/podferry.toml', '/etc/containerd/config.toml']
const TIMEOUT_MS = 15_000

/**
 * @returns what containerd would read now: its main file, all imports, its defaults
 * @throws PodferryError `ContainerdConfigRefused`
 */
export async function dumpConfig(node: NodeCommands, containerd: ContainerdProcess): Promise<Table> {
  const argv = ['env', `PATH=${containerd.path}`, 'readlink', '-f', `/proc/${containerd.pid}/exe`]
  const program = (await node.exec(argv, { timeoutMs: TIMEOUT_MS })).stdout.trim().replace(/ \(deleted\)$/, '')
  const dump = [program || 'containerd', '--config', containerd.configFile, 'config', 'dump']
  const { code, stdout, stderr } = await node.exec(['env', `PATH=${containerd.path}`, ...dump], {
    timeoutMs: TIMEOUT_MS,
  })
  if (code !== 0) throw refused(`\`${dump.join(' ')}\` on the node: ${stderr.trim().split('\n').at(-1)}`)
  return readToml(stdout, `what \`${dump.join(' ')}\` says on the node`)
}

interface Placed {
  /** What containerd will have for it after its next start. */
  handler: Table
  /** Puts the files back as they were. */
  rollBack(): Promise<void>
}

/**
 * Writes the handler into a file of its own where containerd's main file imports such, else to the end of the main file.
 * Then `config dump` must show it and nothing else that is new: otherwise everything is put back.
 *
 * @param before the dump of now
 * @throws PodferryError `ContainerdConfigRefused`
 */
export async function placeHandler(
  hostRoot: string,
  node: NodeCommands,
  containerd: ContainerdProcess,
  before: Table,
  handler: Table,
): Promise<Placed> {
  const main = await readOrUndefined(hostRoot, containerd.configFile)
  const parsed = readToml(main ?? '', containerd.configFile)
  // Without a main file there is one of podferry's own.
  const ownMain = main === undefined || withoutHandler(main) === ''
  const version = ownMain ? before.version : parsed.version
  const folder = importedFolders(parsed)[0]
  const attempts: [string, string][] = []
  if (folder !== undefined) attempts.push([join(folder, DROP_IN), dropIn(version, handler)])
  // containerd 1 takes a plugin's whole section from the last file that has it: then only the main file will do.
  const whole = ownMain ? dropIn(version, handler) : withHandler(main, version, handler)
  attempts.push([containerd.configFile, whole])
  // Where it is already, it stays: a second time writes nothing.
  const { handlerFile } = await readRecord(hostRoot)
  attempts.sort(([a], [b]) => Number(b === handlerFile) - Number(a === handlerFile))

  let complaint = ''
  for (const [file, text] of attempts) {
    const files = await replaced(hostRoot, file, text)
    const after = await dumpConfig(node, containerd).catch(async (error) => {
      await files.rollBack()
      throw error
    })
    const found = handlerIn(after)
    const changed = differences(before, after)
    if (found !== undefined && changed.length === 0 && isOurs(found)) {
      await record(hostRoot, { handlerFile: file })
      return { handler: found, rollBack: files.rollBack }
    }
    await files.rollBack()
    complaint = changed.length > 0 ? `would change ${changed.slice(0, 3).join(', ')}` : 'has no effect'
  }
  throw refused(
    `the runtime handler podferry in ${containerd.configFile} of the node ${complaint}; add it by hand (docs/operations.md)`,
  )
}

const isOurs = (handler: Table) => (handler.options as Table | undefined)?.BinaryName === WRAPPER

/** Takes the handler out of the node's files. @returns whether there was one */
export async function removeHandler(hostRoot: string): Promise<boolean> {
  const { handlerFile } = await readRecord(hostRoot)
  let removed = false
  for (const file of new Set([...(handlerFile === undefined ? [] : [handlerFile]), ...DEFAULT_FILES])) {
    const text = await readOrUndefined(hostRoot, file)
    const without = text === undefined ? undefined : withoutHandler(text)
    if (text === without || without === undefined) continue
    removed = true
    await write(hostRoot, file, without === '' ? undefined : without)
  }
  return removed
}

/** Replaces a file unless it is so already. */
async function replaced(hostRoot: string, file: string, text: string): Promise<{ rollBack(): Promise<void> }> {
  const former = await readOrUndefined(hostRoot, file)
  if (former === text) return { rollBack: async () => undefined }
  await write(hostRoot, file, text)
  return { rollBack: () => write(hostRoot, file, former) }
}

async function write(hostRoot: string, file: string, text: string | undefined): Promise<void> {
  const path = join(hostRoot, file)
  if (text === undefined) {
    await rm(path, { force: true })
    return
  }
  const mode = await stat(path).then(
    (entry) => entry.mode & 0o777,
    () => 0o644,
  )
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await replaceFile(path, text, mode)
}

async function readOrUndefined(hostRoot: string, file: string): Promise<string | undefined> {
  const entry = await lstat(join(hostRoot, file)).catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (entry === undefined) return undefined
  // A link on the node would be resolved in the agent's own root.
  if (!entry.isFile()) throw refused(`${file} on the node is no regular file; put its contents there`)
  return await readFile(join(hostRoot, file), 'utf8')
}

const refused = (message: string) =>
  new PodferryError({ reason: 'ContainerdConfigRefused', message, retry: 'afterChange' })
