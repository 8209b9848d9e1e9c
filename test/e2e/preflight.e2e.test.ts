/** Preflight on a real cluster: each refusal is provoked, with its code and remedy, and the doctor says the same beforehand. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kubectl } from '../../lab/cluster.ts'
import { imageRef } from '../../lab/images.ts'
import { CHECKOUT, KUBECONFIG } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { barePod, counterPod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration, MigrationSpec } from '../../src/api/migration.ts'
import { FACTS_ANNOTATION } from '../../src/api/names.ts'
import { factsOf, type NodeFacts } from '../../src/api/node-facts.ts'
import { NODES, PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const NAMESPACE = 'preflight'
let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
  await kubectl(['create', 'namespace', NAMESPACE])
  await kubectl(['apply', '-f', '-'], { input: CLUSTER_OBJECTS })
  await kubectl(['label', 'node', 'node-1', 'test.example/disk=ssd'])
  const gpu = '[{"op":"add","path":"/status/capacity/test.example~1gpu","value":"1"}]'
  await kubectl(['patch', 'node', 'node-1', '--subresource=status', '--type=json', '-p', gpu])
  await eventually('both agents have reported', async () =>
    (await client.list(NODES)).items.every((one) => factsOf(one)),
  )
})
after(async () => {
  await kubectl(['delete', 'namespace', NAMESPACE, '--timeout=60s'])
  await kubectl(['label', 'node', 'node-1', 'test.example/disk-'])
  const gpu = '[{"op":"remove","path":"/status/capacity/test.example~1gpu"}]'
  await kubectl(['patch', 'node', 'node-1', '--subresource=status', '--type=json', '-p', gpu])
  await kubectl(['delete', '--ignore-not-found', '-f', '-'], { input: CLUSTER_OBJECTS })
  client.close()
})

const CLUSTER_OBJECTS = `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: preflight-other}
handler: runc
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: preflight-local}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  hostPath: {path: /var/lib/preflight-local, type: DirectoryOrCreate}
  claimRef: {namespace: ${NAMESPACE}, name: local}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: local, namespace: ${NAMESPACE}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: preflight-local
  resources: {requests: {storage: 1Mi}}
`

const podferry = (...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const all = [...args, '-n', NAMESPACE, '--kubeconfig', KUBECONFIG]
    execFile(join(CHECKOUT, 'bin/podferry'), all, (error, stdout, stderr) =>
      resolve({ exitCode: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })

function assertRefused({ spec, status }: Migration, code: string, remedy: RegExp): void {
  assert.equal(status?.failure?.reason, code, `${spec.podName}: ${status?.failure?.message}`)
  assert.match(status.failure.message, remedy)
  assert.equal(condition(status, 'Succeeded')?.status, 'False')
  assert.equal(condition(status, 'Accepted')?.reason, code)
}

type Row = [name: string, code: string, remedy: RegExp, spec: object, main?: object, wish?: Partial<MigrationSpec>]

const volumes = (volume: object) => ({ volumes: [{ name: 'v', ...volume }] })
const mount = (options: object = {}) => ({ volumeMounts: [{ name: 'v', mountPath: '/v', ...options }] })
const liveness = { exec: { command: ['/bin/true'] }, periodSeconds: 1, failureThreshold: 1 }
const second = { name: 'second', image: imageRef('counter:1'), command: ['/counter', '1000'] }
const hooked = { ...second, restartPolicy: 'Always', lifecycle: { postStart: { sleep: { seconds: 1 } } } }

/** What the spec of a pod, or the wish, shows. */
const PODS_REFUSED: Row[] = [
  ['hostnetwork', 'HostNamespaces', /Remove hostNetwork/, { hostNetwork: true }],
  ['hostipc', 'HostNamespaces', /Remove hostIPC/, { hostIPC: true }],
  ['shared', 'SharedProcessNamespace', /Remove it/, { shareProcessNamespace: true }],
  [
    'sidecar',
    'SeveralContainers',
    /put the container last/,
    { initContainers: [hooked], terminationGracePeriodSeconds: 2 },
  ],
  ['terminal', 'Terminal', /tty: false/, {}, { tty: true }],
  ['gpu', 'DeviceRequested', /leave/, {}, { resources: { limits: { 'test.example/gpu': '1' } } }],
  [
    'propagation',
    'MountPropagation',
    /use None/,
    volumes({ emptyDir: {} }),
    mount({ mountPropagation: 'HostToContainer' }),
  ],
  ['liveness', 'LivenessTooShort', /failureThreshold/, {}, { livenessProbe: liveness }],
  ['writes', 'HostPathVolume', /readOnly: true/, volumes({ hostPath: { path: '/etc', type: 'Directory' } }), mount()],
  ['unproved', 'HostPathVolume', /hostPath.type/, volumes({ hostPath: { path: '/etc' } }), mount({ readOnly: true })],
  ['local', 'LocalVolume', /several nodes/, volumes({ persistentVolumeClaim: { claimName: 'local' } }), mount()],
  ['emptydir', 'VolumeNotSupported', /mode Live/, volumes({ emptyDir: {} }), mount(), { mode: 'Image' }],
  ['selector', 'NodeNotSelected', /label the node/, { nodeSelector: { 'test.example/disk': 'ssd' } }],
  ['class', 'LiveNotPossible', /use mode Image/, { runtimeClassName: 'preflight-other' }, {}, { mode: 'Live' }],
  ['keep', 'KeepNotAvailable', /Auto or Close/, {}, {}, { connections: 'Keep' }],
]

const sleeper = (name: string, spec: object = {}, main: object = {}) => {
  const command = ['/bin/sh', '-c', 'while :; do sleep 1; done']
  const pod = barePod({ name, node: 'node-1', namespace: NAMESPACE, image: 'busybox:1', command })
  return {
    ...pod,
    spec: {
      ...pod.spec,
      terminationGracePeriodSeconds: 0,
      ...spec,
      containers: pod.spec.containers.map((container) => ({ ...container, ...main })),
    },
  }
}

const move = (podName: string, wish: Partial<MigrationSpec> = {}) =>
  migrate(client, { podName, destinationNode: 'node-2', ...wish }, NAMESPACE)

test('what the pod or the wish shows is refused with code and remedy, and the doctor says it beforehand', async () => {
  await Promise.all(PODS_REFUSED.map(([name, , , spec, main]) => runPod(client, sleeper(name, spec, main))))
  const table = await podferry('doctor', '--to', 'node-2')
  assert.equal(table.exitCode, 0, table.stderr)
  for (const [name, code, , , , wish] of PODS_REFUSED) {
    // The table is of mode and connections Auto.
    const row = table.stdout.split('\n').find((line) => line.startsWith(`${name} `)) ?? ''
    if (wish === undefined) assert.match(row, new RegExp(`node-1 +no .*${code}`), name)
  }
  const ends = await Promise.all(PODS_REFUSED.map(([name, , , , , wish]) => move(name, wish)))
  for (const [at, [, code, remedy]] of PODS_REFUSED.entries()) {
    const end = ends[at] as Migration
    assertRefused(end, code, remedy)
    await noteSeen({ kind: 'feature', what: code, result: 'refused', checked: end.status?.failure?.message ?? '' })
  }
})

test('a program of another user, where root may not read its limits', async (t) => {
  const bounds = /^CapBnd:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/1/status', 'utf8'))?.[1] ?? '0'
  if ((BigInt(`0x${bounds}`) >> 24n) & 1n) return t.skip('this machine has CAP_SYS_RESOURCE: here such a program moves')
  const pod = sleeper('foreign')
  await runPod(client, { ...pod, spec: Object.assign(pod.spec, { securityContext: { runAsUser: 65534 } }) })
  const { status } = await move('foreign')
  assert.equal(status?.failure?.reason, 'LimitsNotReadable')
  assert.match(status?.failure?.message ?? '', /give the machine of the node that capability/)
  assert.equal(status?.timings?.frozenAt, undefined)
  assert.equal(restarts(await client.get(PODS, NAMESPACE, 'foreign')), 0)
})

test('a debugger in the pod', async () => {
  await runPod(client, sleeper('debugged'))
  const debug = ['debug', 'debugged', '-n', NAMESPACE, `--image=${imageRef('busybox:1')}`, '--quiet']
  await kubectl([...debug, '--', '/bin/sh', '-c', 'while :; do sleep 1; done'])
  const running = async () =>
    (await client.get(PODS, NAMESPACE, 'debugged')).status?.ephemeralContainerStatuses?.[0]?.state?.running
  await eventually('the debugger runs', async () => (await running()) !== undefined)
  assertRefused(await move('debugged'), 'EphemeralContainer', /end it/)
})

/** Says something else of node-2 than its agent does, which writes only what has changed. */
async function pretending(facts: Partial<NodeFacts> | 'nothing', attempt: () => Promise<void>): Promise<void> {
  const node = await client.get(NODES, undefined, 'node-2')
  const told = node.metadata.annotations?.[FACTS_ANNOTATION] ?? null
  const write = (text: string | null) =>
    client.patch(NODES, undefined, 'node-2', {
      type: 'merge',
      body: { metadata: { annotations: { [FACTS_ANNOTATION]: text } } },
    })
  await write(facts === 'nothing' ? null : JSON.stringify({ ...factsOf(node), ...facts }))
  try {
    await attempt()
  } finally {
    await write(told)
  }
}

const NODE_FACTS: [Partial<NodeFacts>, string, RegExp, Partial<MigrationSpec>?][] = [
  [{ cpu: 'sse' }, 'CpuDiffers', /same kind/],
  [{ cgroup: 2 }, 'CgroupVersionDiffers', /same version/],
  [{ memoryFreeBytes: 2 ** 20 }, 'MemoryTooSmall', /another node/],
  [{ diskFreeBytes: 2 ** 20 }, 'DiskTooSmall', /mode Live/, { mode: 'Image' }],
  [{ criu: '' }, 'CriuMissing', /install CRIU/],
  [{ criuCheck: 'Error (x)' }, 'CriuCheckFailed', /criu check/],
  [
    { image: { able: false, message: 'set x' }, live: { able: false, message: 'no y' } },
    'RestoreNotSupported',
    /set x.*no y/,
    { mode: 'Image' },
  ],
]

test('what the agents report of their nodes is held against each other', async () => {
  await runPod(client, sleeper('heavy', {}, { resources: { requests: { memory: '16Mi' } } }))
  for (const [facts, code, remedy, wish] of NODE_FACTS) {
    await pretending(facts, async () => assertRefused(await move('heavy', wish), code, remedy))
  }
  const warnings: [Partial<NodeFacts> | 'nothing', string[]][] = [
    [{ kernel: '5.13.0', criu: '4.1.0', clockAheadSeconds: 9 }, ['KernelOlder', 'CriuOlder', 'ClockSkew']],
    ['nothing', ['NothingReported']],
  ]
  for (const [facts, codes] of warnings) {
    await pretending(facts, async () => {
      const { exitCode, stdout } = await podferry('doctor', 'pod/heavy', '--to', 'node-2')
      assert.equal(exitCode, 0)
      assert.match(stdout, /can move to node-2 in mode Live\n/)
      for (const code of codes) assert.match(stdout, new RegExp(`warns +${code}`))
    })
  }
})

test('a pod that is on its way out', async () => {
  // Its process is the first of its namespace and has no handler: TERM does not reach it.
  await runPod(client, sleeper('leaving', { terminationGracePeriodSeconds: 60 }))
  await kubectl(['delete', 'pod', 'leaving', '-n', NAMESPACE, '--wait=false'])
  try {
    assertRefused(await move('leaving'), 'PodTerminating', /successor/)
  } finally {
    await kubectl(['delete', 'pod', 'leaving', '-n', NAMESPACE, '--force', '--grace-period=0'])
  }
})

test('the doctor misses what a cluster needs', async () => {
  await runPod(client, sleeper('asking', {}, { stdin: true }))
  const runtimeClass = await kubectl(['get', 'runtimeclass', 'podferry', '-o', 'json'])
  const controllers = (count: number) =>
    kubectl(['-n', 'podferry-system', 'scale', 'deployment/podferry-controller', `--replicas=${count}`])
  await kubectl(['delete', 'runtimeclass', 'podferry'])
  await controllers(0)
  try {
    await eventually('no controller is ready', async () => {
      const { stdout } = await podferry('doctor', 'pod/asking', '--to', 'node-2')
      return /blocks +NoController/.test(stdout) && /warns +NoRuntimeClass/.test(stdout) && stdout
    })
    assert.match((await podferry('doctor', 'pod/asking')).stdout, /warns +StandardInput[\s\S]*attach again/)
  } finally {
    const { metadata, ...rest } = JSON.parse(runtimeClass)
    const { name, labels, annotations } = metadata
    await kubectl(['apply', '--server-side', '--force-conflicts', '--field-manager=podferry', '-f', '-'], {
      input: JSON.stringify({ ...rest, metadata: { name, labels, annotations } }),
    })
    await controllers(1)
    await kubectl(['-n', 'podferry-system', 'rollout', 'status', 'deployment/podferry-controller', '--timeout=60s'])
  }
})

test('a node that takes no pods', async () => {
  await runPod(client, sleeper('homeless'))
  await kubectl(['cordon', 'node-2'])
  try {
    assertRefused(await move('homeless'), 'NodeUnschedulable', /uncordon/)
  } finally {
    await kubectl(['uncordon', 'node-2'])
  }
  await kubectl(['taint', 'node', 'node-2', 'test.example/x=y:NoSchedule'])
  try {
    assertRefused(await move('homeless'), 'NodeTainted', /another node/)
  } finally {
    await kubectl(['taint', 'node', 'node-2', 'test.example/x-'])
  }
})

const python = (lines: string) => [
  '/usr/bin/python3',
  '-c',
  `import ctypes, socket, time, os, platform\n${lines}\nprint('ready', flush=True)\nwhile True: time.sleep(1)`,
]
const privileged = { securityContext: { privileged: true } }
/** The name, the code, the remedy, what the program does, and how its pod must be for that. */
const PROGRAMS: [string, string, RegExp, string, object?, object?][] = [
  [
    'uring',
    'IoUring',
    /RuntimeDefault/,
    'buffer = ctypes.create_string_buffer(120)\nassert ctypes.CDLL(None, use_errno=True).syscall(425, 8, buffer) > 0, os.strerror(ctypes.get_errno())',
    privileged,
  ],
  [
    'mptcp',
    'MultipathTcp',
    /GODEBUG/,
    "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\ns.bind(('', 8080))\ns.listen()",
  ],
  [
    'unix',
    'ExternalUnixSocket',
    /end the connection/,
    "s = socket.socket(socket.AF_UNIX)\ns.connect('/v/containerd.sock')",
    mount({ readOnly: true }),
    volumes({ hostPath: { path: '/run/containerd', type: 'Directory' } }),
  ],
  ['device', 'DeviceInUse', /leave/, "f = open('/dev/kmsg', 'rb')", privileged],
  [
    'faults',
    'UnsupportedFile',
    /do without/,
    "assert ctypes.CDLL(None).syscall(323 if platform.machine() == 'x86_64' else 282, 1) > 0",
    privileged,
  ],
]

const ready = (name: string) =>
  eventually(`${name} is ready`, async () => (await kubectl(['logs', '-n', NAMESPACE, name])).includes('ready'))

test('what only the node sees of the program is refused before anything is frozen', async () => {
  const names = PROGRAMS.map(([name]) => name)
  await Promise.all(
    PROGRAMS.map(([name, , , lines, main, spec]) =>
      runPod(client, sleeper(name, spec, { image: imageRef('python:3'), command: python(lines), ...main })),
    ),
  )
  await Promise.all(names.map(ready))
  const ends = await Promise.all(names.map((name, at) => move(name, { mode: at % 2 === 0 ? 'Live' : 'Image' })))
  for (const [at, [name, code, remedy]] of PROGRAMS.entries()) {
    const { status } = ends[at] as Migration
    assert.equal(status?.failure?.reason, code, `${name}: ${status?.failure?.message}`)
    assert.match(status.failure.message, remedy)
    assert.equal(condition(status, 'Checkpointed')?.status, 'False')
    assert.equal(condition(status, 'Succeeded')?.reason, 'RolledBack')
    assert.equal(status.timings?.frozenAt, undefined)
    assert.equal(restarts(await client.get(PODS, NAMESPACE, name)), 0)
  }
})

test('a hostPath that is only read moves, in both modes', async () => {
  const spec = volumes({ hostPath: { path: '/etc/ssl', type: 'Directory' } })
  await Promise.all(
    ['reads-live', 'reads-image'].map((name) => runPod(client, sleeper(name, spec, mount({ readOnly: true })))),
  )
  const ends = await Promise.all([move('reads-live', { mode: 'Live' }), move('reads-image', { mode: 'Image' })])
  for (const { status } of ends) assert.equal(condition(status, 'Succeeded')?.status, 'True', status?.failure?.message)
})

test('the doctor knows the cluster, and a dry run makes nothing', async () => {
  await runPod(client, counterPod({ name: 'fit', node: 'node-1', namespace: NAMESPACE }))
  await runPod(client, sleeper('unfit', { hostNetwork: true }, { tty: true }))
  const { stdout } = await podferry('doctor', '-o', 'json')
  const { cluster, nodes, pods } = JSON.parse(stdout)
  assert.deepEqual(cluster.findings, [])
  assert.deepEqual(
    nodes.map(({ name, live, image }: { name: string; live: boolean; image: boolean }) => [name, live, image]),
    [
      ['node-1', true, true],
      ['node-2', true, true],
    ],
  )
  assert.deepEqual(
    pods
      .filter(({ name }: { name: string }) => name.endsWith('fit'))
      .map(({ name, mode }: { name: string; mode?: string }) => [name, mode]),
    [
      ['fit', 'Live'],
      ['unfit', undefined],
    ],
  )
  assert.equal((await podferry('migrate', 'pod/fit', '--to', 'node-2', '--dry-run')).exitCode, 0)
  const unfit = await podferry('migrate', '--dry-run', 'pod/unfit')
  assert.equal(unfit.exitCode, 5)
  assert.match(
    unfit.stdout,
    /^pod preflight\/unfit on node-1 cannot move[\s\S]*blocks +HostNamespaces[\s\S]*blocks +Terminal/,
  )
  assert.equal((await podferry('doctor', 'pod/nobody')).exitCode, 5)
  const migrations = JSON.parse((await podferry('list', '-o', 'json')).stdout).items as { spec: { podName: string } }[]
  assert.deepEqual(
    migrations.filter(({ spec }) => ['fit', 'unfit'].includes(spec.podName)),
    [],
  )
})

test('who may only edit a namespace is told about the pod alone', async () => {
  await runPod(client, sleeper('edited', {}, { tty: true }))
  await kubectl(['-n', NAMESPACE, 'create', 'rolebinding', 'editor', '--clusterrole=edit', '--user=editor'])
  const { exitCode, stdout, stderr } = await podferry('doctor', 'pod/edited', '--as', 'editor')
  assert.equal(exitCode, 5, stderr)
  assert.match(stdout, /blocks +Terminal/)
  assert.doesNotMatch(stdout, /NotAllowed|NoAgent|NodeNotFound/)
  assert.match(stderr, /may not list nodes/)
  const stranger = await podferry('doctor', '--as', 'stranger')
  assert.equal(stranger.exitCode, 1)
})
