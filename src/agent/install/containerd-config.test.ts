import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'smol-toml'
import {
  binaryOf,
  defaultRuntime,
  differences,
  dropIn,
  handlerFrom,
  handlerIn,
  importedFolders,
  readToml,
  type Table,
  withHandler,
  withoutHandler,
} from './containerd-config.ts'

const WRAPPER = '/opt/podferry/bin/podferry-runc'
const V3 = 'io.containerd.cri.v1.runtime'
const V2 = 'io.containerd.grpc.v1.cri'

/** As `containerd config dump` of 2.3 and 1.7 spell it, cut to what is read. */
const dumpOf = (plugin: string, runtimeName = 'runc', changes = '', options = '') =>
  readToml(
    `version = ${plugin === V3 ? 4 : 2}
imports = ['/etc/containerd/conf.d/*.toml']
[plugins.'${plugin}'.containerd]
default_runtime_name = '${runtimeName}'
[plugins.'${plugin}'.containerd.runtimes.${runtimeName}]
runtime_type = 'io.containerd.runc.v2'
runtime_path = ''
pod_annotations = []
privileged_without_host_devices = false
cni_max_conf_num = 0
${plugin === V3 ? "sandboxer = 'podsandbox'" : "sandbox_mode = 'podsandbox'"}
${changes}
[plugins.'${plugin}'.containerd.runtimes.${runtimeName}.options]
BinaryName = ''
IoUid = 0
NoNewKeyring = false
${options}
`,
    'the dump',
  )
/** The parser's tables have no prototype. */
const plain = (value: object): unknown => JSON.parse(JSON.stringify(value))
const handlerOf = (dump: Table) => handlerFrom(defaultRuntime(dump), WRAPPER)

for (const [version, plugin, dump] of [
  [3, V3, dumpOf(V3)],
  [2, V2, dumpOf(V2)],
] as const) {
  test(`a bare default runtime becomes the shortest handler, in the words of version ${version}`, () => {
    assert.deepEqual(plain(parse(dropIn(version, handlerOf(dump)))), {
      version,
      plugins: {
        [plugin]: {
          containerd: {
            runtimes: {
              podferry: {
                runtime_type: 'io.containerd.runc.v2',
                pod_annotations: ['podferry.dev/*'],
                container_annotations: ['podferry.dev/*'],
                options: { BinaryName: WRAPPER },
              },
            },
          },
        },
      },
    })
  })
}

test('what was set for the default runtime holds for the handler too', () => {
  const changes = "base_runtime_spec = '/etc/containerd/base.json'\ncontainer_annotations = ['theirs/*']"
  const handler = handlerOf(dumpOf(V3, 'runc', changes, 'SystemdCgroup = true\nIoGid = 5'))
  assert.equal(handler.base_runtime_spec, '/etc/containerd/base.json')
  assert.deepEqual(handler.container_annotations, ['theirs/*', 'podferry.dev/*'])
  assert.deepEqual(handler.options, { BinaryName: WRAPPER, SystemdCgroup: true, IoGid: 5 })
})

test('the default runtime is the one that the node calls so, and its program the one behind the wrapper', () => {
  const dump = dumpOf(V3, 'nvidia').plugins
  const runtime = defaultRuntime({ plugins: dump })
  assert.equal(binaryOf(runtime), 'runc')
  assert.equal(
    binaryOf({ options: { BinaryName: '/usr/bin/nvidia-container-runtime' } }),
    '/usr/bin/nvidia-container-runtime',
  )
})

for (const [what, changes] of Object.entries({
  'no runc': { runtime_type: 'io.containerd.kata.v2' },
  'a sandboxer of its own': { sandboxer: 'shim' },
})) {
  test(`a default runtime with ${what} is refused`, () => {
    const dump = dumpOf(V3)
    const plugins = dump.plugins as { [V3]: { containerd: { runtimes: { runc: Table } } } }
    Object.assign(plugins[V3].containerd.runtimes.runc, changes)
    assert.throws(() => defaultRuntime(dump), { reason: 'ContainerdConfigRefused' })
  })
}

test('a dump without any runtime is refused', () => {
  assert.throws(() => defaultRuntime({ version: 3 }), { reason: 'ContainerdConfigRefused' })
})

for (const version of [undefined, 1, '3']) {
  test(`a main configuration of version ${JSON.stringify(version)} is refused`, () => {
    assert.throws(() => dropIn(version, handlerOf(dumpOf(V2))), /containerd config migrate/)
  })
}

const MAINS = {
  'an empty file': '',
  'foreign tables': 'version = 3\n[plugins."x.y"]\n  a = 1\n',
  'empty imports': 'imports = []\nversion = 3\n',
  'an array of several lines': 'version = 3\nimports = [\n  "/a.toml", # mine\n]\n',
}
for (const [what, main] of Object.entries(MAINS)) {
  test(`the handler goes to the end of ${what} and comes off again byte by byte`, () => {
    const version = 3
    const whole = withHandler(main, version, handlerOf(dumpOf(V3)))
    assert.ok(whole.startsWith(main))
    assert.ok(handlerIn(readToml(whole, 'the file')))
    assert.equal(withHandler(whole, version, handlerOf(dumpOf(V3))), whole, 'a second time changes nothing')
    assert.equal(withoutHandler(whole), main)
    assert.equal(withoutHandler(`${whole}# added later\n`), `${main}# added later\n`)
  })
}

test('a block without its end is refused', () => {
  const whole = withHandler('version = 3\n', 3, handlerOf(dumpOf(V3))).replace('# END podferry', '')
  assert.throws(() => withoutHandler(whole), { reason: 'ContainerdConfigRefused' })
})

test('only folders of drop-ins count as imported', () => {
  const imports = ['/etc/containerd/conf.d/*.toml', '/etc/one.toml', 'conf.d/*.toml', '/x/*/y.toml']
  assert.deepEqual(importedFolders({ imports }), ['/etc/containerd/conf.d'])
  assert.deepEqual(importedFolders({}), [])
})

test('the handler alone and the list of files are no difference', () => {
  for (const [version, plugin] of [
    [3, V3],
    [2, V2],
  ] as const) {
    const before = dumpOf(plugin)
    const after = structuredClone(before) as typeof before & {
      plugins: Record<string, { containerd: { runtimes: Table } }>
    }
    const runtimes = after.plugins[plugin]?.containerd.runtimes as Table
    runtimes.podferry = handlerOf(before)
    after.imports = ['another']
    assert.deepEqual(differences(before, after), [], `version ${version}`)
    assert.deepEqual(handlerIn(after), handlerOf(before))
    assert.equal(handlerIn(before), undefined)
  }
})

test('a plugin section that a drop-in has replaced is a difference', () => {
  const before = dumpOf(V2, 'runc', '', 'SystemdCgroup = true')
  const after = readToml(dropIn(2, handlerOf(before)), 'after')
  const found = differences(before, after)
  assert.ok(
    found.some((name) => name.includes('runtimes.runc')),
    found.join(),
  )
})

test('text that is no TOML is refused with its name', () => {
  assert.throws(() => readToml('a = = b', '/etc/x.toml'), /\/etc\/x\.toml cannot be read/)
})
