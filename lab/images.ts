/** The base images: what each holds. `images/publish.ts` pushes them into the lab's registry. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageConfig } from '../src/oci/image-writer.ts'
import { readIfThere } from './files.ts'
import type { Item, Layer } from './images/layer.ts'
import { installedRecord, packageItems } from './images/production-packages.ts'
import { LabError } from './lab-error.ts'
import { CHECKOUT, DEBIAN_TREE, REGISTRY_HOST } from './places.ts'
import { run } from './run.ts'
import { javaFiles } from './setup/java.ts'
import { postgresFiles } from './setup/postgres.ts'
import { type CProgram, programPath } from './setup/programs.ts'

export interface Image {
  layers: Layer[]
  config: ImageConfig
}

const BUILDERS: Record<string, () => Promise<Image>> = {
  'pause:1': () => staticImage('pause', { Entrypoint: ['/pause'] }),
  'counter:1': () => staticImage('counter', { Entrypoint: ['/counter'] }),
  'ledger:1': () => staticImage('ledger', { Entrypoint: ['/ledger'] }),
  'hog:1': () => staticImage('hog', { Entrypoint: ['/hog'], Cmd: ['64'] }),
  'busybox:1': async () => ({
    layers: [{ items: await busybox(), contentKey: await treeKey() }],
    config: { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] },
  }),
  'redis:8': async () => ({
    layers: [treeLayer(await treeKey(), ['/usr/bin/redis-server', '/usr/bin/redis-cli'])],
    config: {
      Entrypoint: ['/usr/bin/redis-server'],
      Cmd: ['--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--dir', '/data']
        // DEBUG lets a test fill the memory without sending it.
        .concat(['--enable-debug-command', 'yes']),
      Env: ['PATH=/usr/bin'],
    },
  }),
  'python:3': python,
  'java:host': java,
  'postgres:debian': postgres,
  'registry:2': async () => ({
    layers: [treeLayer(await treeKey(), ['/usr/bin/docker-registry'])],
    config: { Entrypoint: ['/usr/bin/docker-registry', 'serve', '/etc/podferry/registry.yml'], Env: ['PATH=/usr/bin'] },
  }),
  'podferry:dev': podferry,
}

export const IMAGES: readonly string[] = Object.keys(BUILDERS)

/** For those who ask: the host may have no Java, PostgreSQL has to be fetched, and both are big. */
const LATER_IMAGES = ['java:host', 'postgres:debian']

/** What a lab holds from its start. */
export const FIRST_IMAGES: readonly string[] = IMAGES.filter((image) => !LATER_IMAGES.includes(image))

/** @param image such as `counter:1`. @returns the reference that pods use. */
export function imageRef(image: string): string {
  return `${REGISTRY_HOST}/${image}`
}

/** @throws LabError when there is no such base image. */
export function describeImage(image: string): Promise<Image> {
  const build = BUILDERS[image]
  if (build === undefined) throw new LabError(`there is no image ${image}: there are ${IMAGES.join(', ')}`)
  return build()
}

const inTree = (path: string) => join(DEBIAN_TREE, path)

async function treeKey(): Promise<string> {
  return (await readIfThere(inTree('.stamp'))) ?? ''
}

/** Users for programs that look up their own. */
const USERS: Item[] = [
  { kind: 'text', to: '/etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' },
  { kind: 'text', to: '/etc/group', content: 'root:x:0:\nnogroup:x:65534:\n' },
]

async function staticImage(program: CProgram, config: ImageConfig): Promise<Image> {
  const from = await programPath(program)
  const contentKey = createHash('sha256')
    .update(await readFile(from))
    .digest('hex')
  return { layers: [{ items: [{ kind: 'file', from, to: `/${program}` }], contentKey }], config }
}

function treeLayer(contentKey: string, programs: readonly string[]): Layer {
  const items = programs.map((path): Item => ({ kind: 'program', from: inTree(path), to: path }))
  return { items: [...USERS, ...items], contentKey }
}

async function busybox(): Promise<Item[]> {
  const from = inTree('usr/bin/busybox')
  const applets = (await run([from, '--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox')
  return [
    ...USERS,
    { kind: 'file', from, to: '/bin/busybox' },
    ...applets.map((name): Item => ({ kind: 'link', target: 'busybox', to: `/bin/${name}` })),
  ]
}

async function python(): Promise<Image> {
  const version = (await readdir(inTree('usr/lib'))).find((name) => /^python3\.\d+$/.test(name))
  if (version === undefined) throw new LabError('the Debian tree has no python3')
  const library = `/usr/lib/${version}`
  const extensions = (await readdir(inTree(`${library}/lib-dynload`))).filter((name) => name.endsWith('.so'))
  const items: Item[] = [
    ...USERS,
    { kind: 'folder', from: inTree(library), to: library },
    { kind: 'program', from: inTree(`usr/bin/${version}`), to: `/usr/bin/${version}` },
    ...extensions.map((name): Item => {
      const path = `${library}/lib-dynload/${name}`
      return { kind: 'program', from: inTree(path), to: path }
    }),
    { kind: 'link', target: version, to: '/usr/bin/python3' },
  ]
  const config = { Entrypoint: ['/usr/bin/python3'], Env: ['PATH=/usr/bin', 'PYTHONUNBUFFERED=1'] }
  return { layers: [{ items, contentKey: await treeKey() }], config }
}

/** The Java that Kafka runs on: it costs nothing to set up. Its libraries are the tree's, whatever C library the host has. */
async function java(): Promise<Image> {
  const { home, release, programs, files } = await javaFiles()
  const items = [
    ...USERS,
    ...programs.map((path): Item => ({ kind: 'program', from: join(home, path), to: `/usr/lib/java/${path}` })),
    ...files.map((path): Item => ({ kind: 'file', from: join(home, path), to: `/usr/lib/java/${path}` })),
  ]
  const config = { Entrypoint: ['/usr/lib/java/bin/java'], Env: ['PATH=/usr/lib/java/bin'] }
  return { layers: [{ items, contentKey: `${await treeKey()} ${release}` }], config }
}

async function postgres(): Promise<Image> {
  const { tree, stamp, programs, share, bin, library } = await postgresFiles()
  const items: Item[] = [
    ...(await busybox()),
    ...programs.map((path): Item => ({ kind: 'program', from: join(tree, path), to: path, tree })),
    { kind: 'folder', from: join(tree, share), to: share },
    { kind: 'file', from: library, to: '/usr/lib/not-root.so' },
  ]
  return {
    layers: [{ items, contentKey: `${await treeKey()} ${stamp}` }],
    config: { Entrypoint: ['/bin/sh'], Env: [`PATH=${bin}:/bin`] },
  }
}

/** Node, packages and tools change seldom and lie in a layer of their own, below the one with podferry's source. */
async function podferry(): Promise<Image> {
  const record = await installedRecord()
  const node = join(CHECKOUT, `node_modules/node-linux-${process.arch}/bin/node`)
  const base: Item[] = [
    ...(await busybox()),
    { kind: 'program', from: node, to: '/usr/local/bin/node' },
    ...['nsenter', 'tar', 'sync', 'mkfifo'].map(
      (name): Item => ({ kind: 'program', from: inTree(`usr/bin/${name}`), to: `/usr/bin/${name}` }),
    ),
    ...packageItems(record),
  ]
  // In a process of its own: node prints a warning about stripTypeScriptTypes, which only an option silences.
  const strip = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    join(CHECKOUT, 'src/install/strip-types.ts'),
  ]
  const source: Record<string, string> = JSON.parse(await run(strip))
  const items: Item[] = [
    { kind: 'file', from: join(CHECKOUT, 'package.json'), to: '/app/package.json' },
    { kind: 'folder', from: join(CHECKOUT, 'runtime'), to: '/app/runtime' },
    ...Object.entries(source).map(([path, content]): Item => ({ kind: 'text', content, to: `/app/${path}` })),
  ]
  return {
    layers: [
      { items: base, contentKey: `${await treeKey()} ${createHash('sha256').update(record).digest('hex')}` },
      { items, contentKey: await sourceKey(['package.json', 'runtime']) },
    ],
    config: {
      Entrypoint: ['/usr/local/bin/node', '/app/src/main.js'],
      // As in the Dockerfile.
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'MALLOC_ARENA_MAX=2', 'NODE_OPTIONS=--max-semi-space-size=2'],
      WorkingDir: '/app',
    },
  }
}

/** @returns a digest over the names, modes and contents of files and folders in the checkout. */
async function sourceKey(names: readonly string[]): Promise<string> {
  const listed = await run(['find', ...names, '-type', 'f', '-printf', '%p %m\\n'], { cwd: CHECKOUT })
  const hash = createHash('sha256')
  for (const line of listed.split('\n').sort()) {
    if (line === '') continue
    hash.update(`${line}\n`)
    hash.update(await readFile(join(CHECKOUT, line.slice(0, line.lastIndexOf(' ')))))
  }
  return hash.digest('hex')
}
