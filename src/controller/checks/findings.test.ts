/** Each finding with a situation that provokes it and one that differs by the fault alone and does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Finding } from '../../api/finding.ts'
import { LIVE_LABEL } from '../../api/names.ts'
import type { NodeFacts } from '../../api/node-facts.ts'
import type { Container, Node, Pod, PodSpec, Volume } from '../../api/pod.ts'
import type { Snapshot } from '../snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot, reporting } from '../testing/builders.ts'
import type { ClusterFacts } from './cluster-checks.ts'
import { clusterFindings, judgeNode, nodeFindings, podFindings } from './preflight.ts'

type Row = [
  sentence: string,
  code: string,
  severity: Finding['severity'],
  faulty: Snapshot,
  sound: Snapshot,
  remedy: RegExp,
]

const container = (changes: Partial<Container>, spec: Partial<PodSpec> = {}): Snapshot =>
  aSnapshot({ sourcePod: aPod({ containers: [{ name: 'main', image: 'i', ...changes }], ...spec }) })

const volume = (volume: Omit<Volume, 'name'>, readOnly = true, changes: Partial<Snapshot> = {}): Snapshot => {
  const volumeMounts = [{ name: 'v', mountPath: '/v', readOnly }]
  const containers = [{ name: 'main', image: 'i', volumeMounts }]
  return aSnapshot({ sourcePod: aPod({ containers, volumes: [{ name: 'v', ...volume }] }), ...changes })
}

const claim = (place: 'node' | 'elsewhere', accessMode = 'ReadWriteOnce') =>
  volume({ persistentVolumeClaim: { claimName: 'c' } }, false, {
    claims: { c: { place, accessModes: [accessMode] } },
  })

const probe = (failureThreshold: number, memory = '0') =>
  container({ livenessProbe: { periodSeconds: 1, failureThreshold }, resources: { requests: { memory } } })

const ephemeral = (state: 'running' | 'terminated'): Snapshot => {
  const pod = aPod()
  const one = { name: 'debugger', image: 'i', imageID: '', restartCount: 0, ready: false }
  const states = { running: { running: {} }, terminated: { terminated: { exitCode: 0 } } }
  const status = { ...pod.status, ephemeralContainerStatuses: [{ ...one, state: states[state] }] }
  return aSnapshot({ sourcePod: { ...pod, status } })
}

const LIVE = { [LIVE_LABEL]: 'true' }
const nodes = (from: Partial<NodeFacts>, to: Partial<NodeFacts>): Node[] => [
  reporting(aNode('node-1', {}, LIVE), from),
  reporting(aNode('node-2', {}, LIVE), to),
]
const facts = (from: Partial<NodeFacts>, to: Partial<NodeFacts>, changes: Partial<Snapshot> = {}): Snapshot =>
  aSnapshot({ nodes: nodes(from, to), ...changes })

const NOT_LIVE = { able: false, message: 'no wrapper' }
const GIB = 2 ** 30
const heavy: Pod = aPod({ containers: [{ name: 'main', image: 'i', resources: { requests: { memory: '1Gi' } } }] })
const image = { migration: aMigration({ mode: 'Image' }) }
const live = { migration: aMigration({ mode: 'Live' }), nodes: nodes({}, {}) }

const ROWS: Row[] = [
  ['a terminal', 'Terminal', 'blocks', container({ tty: true }), container({}), /tty: false/],
  ['standard input', 'StandardInput', 'warns', container({ stdin: true }), container({}), /attach again/],
  [
    'a GPU',
    'DeviceRequested',
    'blocks',
    container({ resources: { limits: { 'nvidia.com/gpu': '1', cpu: '1' } } }),
    container({ resources: { limits: { 'hugepages-2Mi': '2Mi', cpu: '1' } } }),
    /leave/,
  ],
  [
    'a device claim',
    'DeviceRequested',
    'blocks',
    container({ resources: { claims: [{ name: 'x' }] } }),
    container({}),
    /leave/,
  ],
  [
    'a raw block device',
    'DeviceRequested',
    'blocks',
    container({ volumeDevices: [{ name: 'v', devicePath: '/dev/x' }] }),
    container({ volumeDevices: [] }),
    /Filesystem/,
  ],
  [
    'a mount that is shared with the node',
    'MountPropagation',
    'blocks',
    container({ volumeMounts: [{ name: 'v', mountPath: '/v', mountPropagation: 'HostToContainer' }] }),
    container({ volumeMounts: [{ name: 'v', mountPath: '/v', mountPropagation: 'None' }] }),
    /None/,
  ],
  ['a probe that kills at once', 'LivenessTooShort', 'blocks', probe(1), probe(9), /failureThreshold/],
  ['a probe that may kill', 'LivenessTooShort', 'warns', probe(5), probe(9), /failureThreshold/],
  ['a probe too short for so much memory', 'LivenessTooShort', 'blocks', probe(9, '4Gi'), probe(9), /failureThreshold/],
  [
    'a container without seccomp',
    'SeccompUnconfined',
    'warns',
    container({}),
    container({}, { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } }),
    /RuntimeDefault/,
  ],
  [
    'a privileged container, whatever its profile',
    'SeccompUnconfined',
    'warns',
    container({ securityContext: { privileged: true, seccompProfile: { type: 'RuntimeDefault' } } }),
    container({ securityContext: { seccompProfile: { type: 'RuntimeDefault' } } }),
    /RuntimeDefault/,
  ],
  [
    'a node that lets nobody use io_uring',
    'SeccompUnconfined',
    'warns',
    facts({}, {}),
    facts({ ioUringDisabled: 2 }, {}),
    /./,
  ],
  ['a debugger at work', 'EphemeralContainer', 'blocks', ephemeral('running'), ephemeral('terminated'), /end it/],
  [
    'a writable hostPath',
    'HostPathVolume',
    'blocks',
    volume({ hostPath: { path: '/x', type: 'Directory' } }, false),
    volume({ hostPath: { path: '/x', type: 'Directory' } }),
    /readOnly: true/,
  ],
  [
    'a hostPath that nobody proves',
    'HostPathVolume',
    'blocks',
    volume({ hostPath: { path: '/x' } }),
    volume({ hostPath: { path: '/x', type: 'File' } }),
    /hostPath.type/,
  ],
  [
    "a socket of the node's",
    'HostPathVolume',
    'blocks',
    volume({ hostPath: { path: '/x', type: 'Socket' } }),
    volume({ hostPath: { path: '/x', type: 'File' } }),
    /network/,
  ],
  ['a claim on the local disk', 'LocalVolume', 'blocks', claim('node'), claim('elsewhere'), /several nodes/],
  [
    'a claim of one node in mode Live',
    'VolumeNotSupported',
    'blocks',
    { ...claim('elsewhere'), ...live },
    { ...claim('elsewhere', 'ReadWriteMany'), ...live },
    /use mode Image or Auto: there the source goes first/,
  ],
  [
    'a claim whose storage can not be seen in mode Live',
    'VolumeNotSupported',
    'blocks',
    { ...claim('elsewhere', 'ReadWriteMany'), ...live, claims: {} },
    { ...claim('elsewhere', 'ReadOnlyMany'), ...live },
    /there the source goes first/,
  ],
  [
    'a node selector',
    'NodeNotSelected',
    'blocks',
    aSnapshot({ sourcePod: aPod({ nodeSelector: { disk: 'ssd' } }) }),
    aSnapshot({ sourcePod: aPod({ nodeSelector: LIVE }) }),
    /label the node/,
  ],
  [
    'no CRIU',
    'CriuMissing',
    'blocks',
    facts({ criu: '' }, { criu: '4.2' }),
    facts({ criu: '4.2' }, { criu: '4.2' }),
    /install/,
  ],
  [
    'a CRIU that complains',
    'CriuCheckFailed',
    'blocks',
    facts({}, { criuCheck: 'Error (x)' }),
    facts({}, { criuCheck: '' }),
    /criu check/,
  ],
  [
    'a lesser processor',
    'CpuDiffers',
    'blocks',
    facts({ cpu: 'avx avx2 sse' }, { cpu: 'avx sse' }),
    facts({ cpu: 'avx sse' }, { cpu: 'avx avx2 sse' }),
    /same kind/,
  ],
  [
    'another cgroup version',
    'CgroupVersionDiffers',
    'blocks',
    facts({ cgroup: 1 }, { cgroup: 2 }),
    facts({ cgroup: 2 }, { cgroup: 2 }),
    /same/,
  ],
  [
    'an older CRIU',
    'CriuOlder',
    'warns',
    facts({ criu: '4.2' }, { criu: '4.1.1' }),
    facts({ criu: '4.1.1' }, { criu: '4.2' }),
    /upgrade/,
  ],
  [
    'an older kernel',
    'KernelOlder',
    'warns',
    facts({ kernel: '6.18.5-x' }, { kernel: '6.8.0' }),
    facts({ kernel: '6.18.5-x' }, { kernel: '6.18.1' }),
    /upgrade/,
  ],
  [
    'an older runtime',
    'RuntimeOlder',
    'warns',
    facts({ runtime: 'containerd 2.3.4' }, { runtime: 'containerd 2.2.9' }),
    facts({ runtime: 'containerd 2.3.4' }, { runtime: 'containerd 2.3.1' }),
    /upgrade/,
  ],
  [
    'an older runc',
    'RuncOlder',
    'warns',
    facts({ runc: '1.3.6' }, { runc: '1.2.0' }),
    facts({ runc: '1.3.6' }, { runc: '1.4.0' }),
    /upgrade/,
  ],
  [
    'too little memory',
    'MemoryTooSmall',
    'blocks',
    facts({}, { memoryFreeBytes: GIB / 2 }, { sourcePod: heavy }),
    facts({}, { memoryFreeBytes: GIB }, { sourcePod: heavy }),
    /another node/,
  ],
  [
    'too little disk for mode Image',
    'DiskTooSmall',
    'blocks',
    facts({}, { diskFreeBytes: GIB }, { sourcePod: heavy, ...image }),
    facts({}, { diskFreeBytes: GIB }, { sourcePod: heavy }),
    /mode Live/,
  ],
  [
    'a clock that runs ahead',
    'ClockSkew',
    'warns',
    facts({ clockAheadSeconds: 0 }, { clockAheadSeconds: 9 }),
    facts({ clockAheadSeconds: 9 }, { clockAheadSeconds: 9 }),
    /chrony/,
  ],
  [
    'a kubelet that nobody verifies',
    'KubeletNotVerified',
    'warns',
    facts({ kubeletInsecureTls: true }, {}),
    facts({}, {}),
    /CA/,
  ],
  ['an agent that has not reported', 'NothingReported', 'warns', aSnapshot(), facts({}, {}), /log/],
  [
    'a runtime that restores nothing',
    'RestoreNotSupported',
    'blocks',
    facts({}, { image: { able: false, message: 'set enable_x' }, live: NOT_LIVE }, image),
    facts({}, { image: { able: false, message: 'set enable_x' } }, image),
    /enable_x.*no wrapper.*mode Live/,
  ],
  [
    'a runtime that restores nothing, beside podferry’s own that does',
    'RestoredByPodferry',
    'warns',
    facts({}, { image: { able: false, message: 'set enable_x' } }, image),
    facts({}, { image: { able: true } }, image),
    /enable_x.*nothing is to be done/,
  ],
  [
    "a runtime class of the pod's own",
    'RuntimeClassForeign',
    'warns',
    aSnapshot({ ...image, sourcePod: aPod({ runtimeClassName: 'kata' }) }),
    aSnapshot({ ...image, sourcePod: aPod({ runtimeClassName: 'podferry' }) }),
    /without it/,
  ],
]

const told = (snapshot: Snapshot) => [...podFindings(snapshot), ...judgeNode(snapshot, 'node-2').findings]

for (const [sentence, code, severity, faulty, sound, remedy] of ROWS) {
  test(`${code} ${severity}: ${sentence}`, () => {
    const found = told(faulty).find((finding) => finding.code === code)
    assert.equal(found?.severity, severity)
    assert.match(`${found.why}; ${found.remedy}`, remedy)
    assert.equal(
      told(sound).find((finding) => finding.code === code && finding.severity === severity),
      undefined,
    )
  })
}

const CLUSTER: [string, string, Finding['severity'], ClusterFacts][] = [
  ['no podferry', 'NotInstalled', 'blocks', {}],
  ['another version of the kind', 'NotInstalled', 'blocks', { served: ['v9'] }],
  ['another definition', 'DefinitionDiffers', 'warns', { current: false }],
  ['no controller', 'NoController', 'blocks', { controllers: 0 }],
  ['no runtime class', 'NoRuntimeClass', 'warns', { runtimeClass: false }],
  ['an old Kubernetes', 'KubernetesTooOld', 'blocks', { version: 'v1.29.3' }],
  ['no right', 'NotAllowed', 'blocks', { forbidden: ['create migrations.podferry.dev'] }],
]
const SOUND: ClusterFacts = {
  served: ['v1alpha1'],
  current: true,
  controllers: 2,
  runtimeClass: true,
  version: 'v1.34.4',
  forbidden: [],
}

for (const [sentence, code, severity, changes] of CLUSTER) {
  test(`${code} ${severity}: ${sentence}`, () => {
    const cluster = code === 'NotInstalled' ? { ...changes } : { ...SOUND, ...changes }
    assert.deepEqual(
      clusterFindings(aSnapshot({ cluster })).map((finding) => [finding.code, finding.severity]),
      [[code, severity]],
    )
  })
}

test('a sound cluster, and one that nobody has looked at, give no finding', () => {
  assert.deepEqual([clusterFindings(aSnapshot({ cluster: SOUND })), clusterFindings(aSnapshot())], [[], []])
})

test('what keeps a node from a mode is told of the node itself, once', () => {
  const [, node] = nodes({}, { criu: '', live: NOT_LIVE, image: { able: false, message: 'set enable_x' } })
  assert.ok(node)
  const snapshot = aSnapshot({ nodes: [node], registries: new Set(), agents: new Set(['node-2']) })
  assert.deepEqual(
    nodeFindings(snapshot, node).map(({ code }) => code),
    ['CriuMissing', 'NoRegistry', 'RestoreNotSupported'],
  )
})

test('one fault hides no other', () => {
  const pod = aPod({ hostNetwork: true, hostPID: true, containers: [{ name: 'main', image: 'i', tty: true }] })
  const codes = podFindings(aSnapshot({ sourcePod: pod })).map(({ code }) => code)
  assert.deepEqual(codes, ['HostNamespaces', 'HostNamespaces', 'Terminal', 'SeccompUnconfined'])
})
