/** The runtime handler `podferry` in containerd's configuration, derived from the node's default runtime. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { parse, stringify } from 'smol-toml'
import { GROUP, RUNTIME_CLASS } from '../../api/names.ts'
import { PodferryError } from '../../errors.ts'

/** A table of TOML; the values are what containerd says, of which we read a part. */
export type Table = { [key: string]: unknown }

/** Since version 3 of its configuration containerd's CRI plugin is two; both names may appear in a dump. */
const PLUGINS = ['io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri'] as const
const ANNOTATIONS = `${GROUP}/*`
const BEGIN = '# BEGIN podferry: managed by its agent, changes here are lost'
const END = '# END podferry'

const refused = (message: string) =>
  new PodferryError({ reason: 'ContainerdConfigRefused', message, retry: 'afterChange' })

/**
 * @param what names the text in the error
 * @throws PodferryError `ContainerdConfigRefused` when it is no TOML
 */
export function readToml(text: string, what: string): Table {
  try {
    return parse(text)
  } catch (cause) {
    throw refused(`${what} cannot be read: ${(cause as Error).message.split('\n')[0]}`)
  }
}

/** The tables that containerd's default runtime consists of.
 *
 * @throws PodferryError `ContainerdConfigRefused` when it is no runc or has a sandboxer of its own
 */
export function defaultRuntime(dump: Table): Table {
  const plugin = criPlugins(dump).find((one) => table(table(one.containerd).runtimes) !== EMPTY) ?? EMPTY
  const containerd = table(plugin.containerd)
  const name = typeof containerd.default_runtime_name === 'string' ? containerd.default_runtime_name : 'runc'
  const runtime = table(table(containerd.runtimes)[name])
  const sandboxer = runtime.sandboxer ?? runtime.sandbox_mode ?? ''
  if (runtime.runtime_type !== 'io.containerd.runc.v2' || !['', 'podsandbox'].includes(String(sandboxer))) {
    throw refused(
      `the node's default runtime "${name}" is no runc (runtime_type = '${runtime.runtime_type}'); live moves need runc`,
    )
  }
  return runtime
}

/** @returns the node's OCI runtime as containerd was told it: a path, or a name on its PATH */
export const binaryOf = (runtime: Table): string => String(table(runtime.options).BinaryName || 'runc')

/** The handler: the default runtime with everything that was set for it, but another program and annotations let through. */
export function handlerFrom(runtime: Table, wrapper: string): Table {
  const { options, pod_annotations, container_annotations, sandboxer: _, sandbox_mode: __, ...own } = runtime
  return {
    ...withoutEmpty(own),
    pod_annotations: [...list(pod_annotations), ANNOTATIONS],
    container_annotations: [...list(container_annotations), ANNOTATIONS],
    options: { ...withoutEmpty(table(options)), BinaryName: wrapper },
  }
}

/**
 * @param version of the main configuration: no drop-in may have a higher one, and the plugin's name depends on it
 * @throws PodferryError `ContainerdConfigRefused` when the version is below 2
 */
function handlerTables(version: unknown, handler: Table): string {
  if (typeof version !== 'number' || version < 2) {
    throw refused(
      "containerd's configuration has no `version` or one below 2: run `containerd config migrate` on the node",
    )
  }
  const plugin = version === 2 ? PLUGINS[1] : PLUGINS[0]
  return stringify({ plugins: { [plugin]: { containerd: { runtimes: { [RUNTIME_CLASS]: handler } } } } })
}

/** @returns the text of a file that holds nothing but the handler */
export const dropIn = (version: unknown, handler: Table): string =>
  `${BEGIN}\nversion = ${version}\n\n${handlerTables(version, handler)}${END}\n`

/** @returns the main configuration with the handler at its end, in place of an earlier one; a missing last line feed is added */
export function withHandler(main: string, version: unknown, handler: Table): string {
  const before = withoutHandler(main)
  const joined = before === '' || before.endsWith('\n') ? before : `${before}\n`
  return `${joined}${BEGIN}\n${handlerTables(version, handler)}${END}\n`
}

/**
 * @returns the text without podferry's block, everything else byte by byte
 * @throws PodferryError `ContainerdConfigRefused` when the block has a beginning and no end
 */
export function withoutHandler(text: string): string {
  const begin = text.indexOf('# BEGIN podferry')
  if (begin < 0) return text
  const end = text.indexOf(END, begin)
  if (end < 0) throw refused("containerd's configuration has a block of podferry without its end; remove it by hand")
  return text.slice(0, begin) + text.slice(end + END.length).replace(/^\n/, '')
}

/** @returns the folders whose *.toml the main configuration reads */
export const importedFolders = (main: Table): string[] =>
  list(main.imports).flatMap((pattern) => /^(\/.+)\/\*\.toml$/.exec(String(pattern))?.[1] ?? [])

/** @returns podferry's handler in a dump; undefined when it is not there */
export function handlerIn(dump: Table): Table | undefined {
  const handlers = criPlugins(dump).map((plugin) => table(table(plugin.containerd).runtimes)[RUNTIME_CLASS])
  return handlers.find((handler) => handler !== undefined) as Table | undefined
}

/** @returns dotted names of what two dumps differ in, besides the handler and the list of files that were read */
export function differences(before: Table, after: Table): string[] {
  return different(comparable(before), comparable(after), '')
}

function comparable(dump: Table): Table {
  const { imports: _, ...copy } = structuredClone(dump)
  for (const plugin of criPlugins(copy)) delete table(table(plugin.containerd).runtimes)[RUNTIME_CLASS]
  return copy
}

function different(before: Table, after: Table, prefix: string): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const [a, b] = [before[key], after[key]]
    if (isDeepStrictEqual(a, b)) return []
    return isTable(a) && isTable(b) ? different(a, b, `${prefix}${key}.`) : [`${prefix}${key}`]
  })
}

const EMPTY: Table = {}
const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
const table = (value: unknown): Table => (isTable(value) ? value : EMPTY)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const criPlugins = (dump: Table): Table[] => PLUGINS.map((name) => table(table(dump.plugins)[name]))
/** A dump spells out every default; left out they stay what they are, in releases that know fewer of them too. */
const withoutEmpty = (from: Table): Table =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value && !(Array.isArray(value) && value.length === 0)))
