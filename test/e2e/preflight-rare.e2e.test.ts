/** Refusals that seldom come: by owners, by what nodes and cluster are, by CRIU itself. Each is provoked on the real cluster, with code and remedy. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kubectl, node, part } from '../../lab/cluster.ts'
import { imageRef } from '../../lab/images.ts'
import { CHECKOUT, KUBECONFIG } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { withVersion } from '../../lab/scenario/older-api-server.ts'
import { barePod, podOrUndefined, podsUnder, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { SHARED_DRIVER } from '../../lab/shared-volume.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration, MigrationSpec } from '../../src/api/migration.ts'
import { FACTS_ANNOTATION } from '../../src/api/names.ts'
import { factsOf } from '../../src/api/node-facts.ts'
import { NODES } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient
before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

const SLEEP = ['/bin/sh', '-c', 'while :; do sleep 1; done']
const sleeper = (name: string, spec: object = {}) => {
  const pod = barePod({ name, node: 'node-1', image: 'busybox:1', command: SLEEP })
  return { ...pod, spec: { ...pod.spec, terminationGracePeriodSeconds: 0, ...spec } }
}
const move = (podName: string, wish: Partial<MigrationSpec> = {}) =>
  migrate(client, { podName, destinationNode: 'node-2', ...wish })

async function assertRefused({ spec, status }: Migration, code: string, remedy: RegExp): Promise<void> {
  const message = status?.failure?.message ?? ''
  assert.equal(status?.failure?.reason, code, `${spec.podName}: ${message}`)
  assert.match(message, remedy)
  assert.equal(condition(status, 'Accepted')?.reason, code)
  assert.equal(condition(status, 'Succeeded')?.status, 'False')
  await noteSeen({ kind: 'feature', what: code, result: 'refused', checked: message })
}

const podferry = (...args: string[]): Promise<string> => podferryAt(KUBECONFIG, ...args)
const podferryAt = (kubeconfig: string, ...args: string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile(join(CHECKOUT, 'bin/podferry'), [...args, '--kubeconfig', kubeconfig], (_, stdout) => resolve(stdout))
  })

const ZONE = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: zone}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  flexVolume: {driver: ${SHARED_DRIVER}, options: {share: zone}}
  claimRef: {namespace: default, name: zone}
  nodeAffinity:
    required:
      nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-1]}]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: zone, namespace: default}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  volumeName: zone
  resources: {requests: {storage: 1Mi}}
`

test('a volume that the destination cannot have, in either mode', async () => {
  await kubectl(['apply', '-f', '-'], { input: ZONE })
  await runPod(client, sleeper('zone', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'zone' } }] }))
  for (const mode of ['Live', 'Image'] as const)
    await assertRefused(await move('zone', { mode }), 'VolumeOutOfReach', /kubectl describe pv/)
  await removePod(client, 'default', 'zone')
  await kubectl(['delete', '-f', '-'], { input: ZONE })
})

test('a pod with an owner in mode Image, and one whose owner is gone', async () => {
  const name = 'owned'
  await kubectl(['create', 'deployment', name, `--image=${imageRef('busybox:1')}`, '--', ...SLEEP])
  const [pod] = await eventually('its pod runs', async () => {
    const pods = await podsUnder(client, name)
    return pods[0]?.status?.phase === 'Running' ? pods : undefined
  })
  assert.ok(pod)
  const destinationNode = pod.spec.nodeName === 'node-1' ? 'node-2' : 'node-1'
  const wish = { destinationNode } as const
  await assertRefused(await move(pod.metadata.name, { ...wish, mode: 'Image' }), 'OwnerNeedsLive', /mode Live or Auto/)
  const manager = part('controller-manager')
  await manager.stop()
  try {
    await kubectl(['delete', 'replicaset', '-l', `app=${name}`])
    await assertRefused(await move(pod.metadata.name, wish), 'OwnerGone', /successor/)
  } finally {
    await manager.start()
    await kubectl(['delete', 'deployment', name])
  }
  await eventually('its pods are gone', async () => (await podsUnder(client, name)).length === 0, 60_000)
})

test('an image that no registry knows, and a node of another architecture', async () => {
  await runPod(client, sleeper('unknown-image'))
  const patch = (path: string, value: string) => JSON.stringify([{ op: 'replace', path, value }])
  const write = (object: string[], what: string) =>
    kubectl(['patch', ...object, '--subresource=status', '--type=json', '-p', what])
  // Kubelet would set right at once what is said here in its place.
  await node('node-1').stopPart('kubelet')
  try {
    const imageID = patch('/status/containerStatuses/0/imageID', 'sha256:0123')
    await write(['pod', 'unknown-image'], imageID)
    await assertRefused(await move('unknown-image'), 'ImageWithoutDigest', /push the image to a registry/)
  } finally {
    await node('node-1').startPart('kubelet')
  }
  await removePod(client, 'default', 'unknown-image')
  await runPod(client, sleeper('amd'))
  const { status } = await client.get(NODES, undefined, 'node-2')
  const own = status?.nodeInfo?.architecture ?? ''
  await node('node-2').stopPart('kubelet')
  try {
    await write(['node', 'node-2'], patch('/status/nodeInfo/architecture', 'other'))
    await assertRefused(await move('amd'), 'ArchitectureDiffers', /node of the same architecture/)
  } finally {
    await write(['node', 'node-2'], patch('/status/nodeInfo/architecture', own))
    await node('node-2').startPart('kubelet')
  }
  await removePod(client, 'default', 'amd')
})

test('what is only warned of: a class of its own, a definition of another version, a kubelet that is not verified', async () => {
  await kubectl(['apply', '-f', '-'], {
    input: '{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"foreign"},"handler":"runc"}',
  })
  await runPod(client, sleeper('classy', { runtimeClassName: 'foreign' }))
  const definition = 'migrations.podferry.dev'
  const named = (name: string) =>
    `[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/description","value":"${name}"}]`
  const schema = '{.spec.versions[0].schema.openAPIV3Schema.description}'
  const own = await kubectl(['get', 'crd', definition, '-o', `jsonpath=${schema}`])
  await kubectl(['patch', 'crd', definition, '--type=json', '-p', named('another')])
  const node2 = await client.get(NODES, undefined, 'node-2')
  const tell = (text: string | undefined) =>
    client.patch(NODES, undefined, 'node-2', {
      type: 'merge',
      body: { metadata: { annotations: { [FACTS_ANNOTATION]: text ?? null } } },
    })
  try {
    await tell(JSON.stringify({ ...factsOf(node2), kubeletInsecureTls: true }))
    const said = await podferry('doctor', 'pod/classy', '--to', 'node-2')
    const wished = await podferry('migrate', 'pod/classy', '--to', 'node-2', '--mode', 'Image', '--dry-run')
    assert.match(wished, /warns +RuntimeClassForeign[\s\S]*recreate the pod without it/)
    assert.match(said, /warns +SeccompUnconfined[\s\S]*RuntimeDefault/)
    assert.match(said, /warns +KubeletNotVerified[\s\S]*docs\/operations.md/)
    assert.match(await podferry('doctor'), /warns +DefinitionDiffers[\s\S]*make install/)
  } finally {
    await tell(node2.metadata.annotations?.[FACTS_ANNOTATION])
    await kubectl(['patch', 'crd', definition, '--type=json', '-p', named(own)])
    await removePod(client, 'default', 'classy')
    await kubectl(['delete', 'runtimeclass', 'foreign'])
  }
})

const python = (lines: string) => [
  '/usr/bin/python3',
  '-c',
  `import ctypes, os, time\n${lines}\nprint('ready', flush=True)\nwhile True: time.sleep(1)`,
]
/** The name, the code, the remedy, what the program does. */
const PROGRAMS: [string, string, RegExp, string][] = [
  [
    'ghost',
    'GhostFileTooBig',
    /raise the limit/,
    "f = open('/big', 'wb')\nos.unlink('/big')\nfor _ in range(80): f.write(os.urandom(1 << 20))\nf.flush()",
  ],
  [
    'nested',
    'NestedContainers',
    /cannot be moved/,
    'if os.fork() == 0:\n  assert ctypes.CDLL(None).unshare(0x20000000) == 0\n  os.fork()\n  time.sleep(9999)\ntime.sleep(1)',
  ],
]

test('what only CRIU finds is told in our words and in its own; the pod runs on', async () => {
  for (const [name, code, remedy, lines] of PROGRAMS) {
    const pod = barePod({ name, node: 'node-1', image: 'python:3', command: python(lines) })
    for (const container of pod.spec.containers) Object.assign(container, { securityContext: { privileged: true } })
    await runPod(client, pod)
    await eventually(`${name} is ready`, async () => (await kubectl(['logs', name])).includes('ready'))
    const { status } = await move(name)
    assert.equal(status?.failure?.reason, code, status?.failure?.message)
    assert.match(status.failure.message, remedy)
    assert.ok(status.failure.criuLog?.some((line) => line.includes('Error (')))
    const now = await podOrUndefined(client, 'default', name)
    assert.equal(now && restarts(now), 0)
    await noteSeen({ kind: 'feature', what: code, result: 'refused', checked: status.failure.message })
    await removePod(client, 'default', name)
  }
  assert.deepEqual(await lastingLeftovers(client), [])
})

test('a cluster that is too old', async () => {
  await runPod(client, sleeper('aged'))
  const said = await withVersion(client, 'v1.29.3', (kubeconfig) =>
    podferryAt(kubeconfig, 'doctor', 'pod/aged', '--to', 'node-2'),
  )
  assert.match(said, /blocks +KubernetesTooOld[\s\S]*v1\.29\.3[\s\S]*upgrade the cluster/)
  assert.doesNotMatch(await podferry('doctor', 'pod/aged', '--to', 'node-2'), /KubernetesTooOld/)
  await noteSeen({
    ...{ kind: 'feature', what: 'KubernetesTooOld', result: 'refused' },
    checked: 'the doctor, to which the API server says that it is v1.29.3',
  })
  await removePod(client, 'default', 'aged')
})
