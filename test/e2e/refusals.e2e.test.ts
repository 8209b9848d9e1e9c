/** Bad input: each is refused or rolled back with reason and remedy, and the source runs on as if nothing had happened. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kubectl, node } from '../../lab/cluster.ts'
import { GATEWAY } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { barePod, counterPod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import { MIGRATIONS, PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

function assertFailed({ status }: Migration, reason: string, remedy: RegExp): void {
  assert.equal(condition(status, 'Succeeded')?.status, 'False')
  assert.equal(condition(status, 'Failed')?.status, 'True')
  assert.equal(status?.failure?.reason, reason)
  assert.match(status.failure.message, remedy)
}

/** Runs a counter, tries to move it by `attempt`, and asserts that it never noticed. */
async function unharmed(name: string, attempt: () => Promise<void>, pod = counterPod): Promise<void> {
  const witness = await startWitness(GATEWAY)
  await runPod(client, pod({ name, node: 'node-1', witness: witness.target }))
  await eventually('it counts', async () => witness.reports.length > 5)
  await attempt()
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 5)
  const after = await podOrUndefined(client, 'default', name)
  assert.equal(after && restarts(after), 0)
  assert.deepEqual(violations(witness.reports), [])
  await removePod(client, 'default', name)
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
}

test('a pod that does not exist', async () => {
  assertFailed(
    await migrate(client, { podName: 'nobody', destinationNode: 'node-2', mode: 'Image' }),
    'PodNotFound',
    /kubectl get pods/,
  )
})

test('a pod that is not running', async () => {
  const pod = barePod({ name: 'stuck', node: 'node-1', image: 'no-such-image:1' })
  await client.create(PODS, pod)
  assertFailed(
    await migrate(client, { podName: 'stuck', destinationNode: 'node-2', mode: 'Image' }),
    'PodNotRunning',
    /wait/,
  )
  await removePod(client, 'default', 'stuck')
})

for (const [sentence, destinationNode, reason, remedy] of [
  ['an unknown destination', 'node-9', 'NodeNotFound', /node-1, node-2/],
  ['the node it is on', 'node-1', 'SameNode', /another node/],
] as const) {
  test(sentence, () =>
    unharmed(`bad-${reason.toLowerCase()}`, async () => {
      assertFailed(await migrate(client, { podName: `bad-${reason.toLowerCase()}`, destinationNode }), reason, remedy)
    }),
  )
}

test('a destination that is not ready', async () => {
  await node('node-2').cut()
  try {
    await eventually(
      'node-2 is NotReady',
      async () => (await kubectl(['get', 'node', 'node-2'])).includes('NotReady'),
      90_000,
    )
    await unharmedWithoutLeftoverCheck('notready')
  } finally {
    await node('node-2').join()
    // Its connections were cut in silence, and it would wait for answers for half a minute.
    await node('node-2').kill('kubelet')
    await eventually(
      'node-2 is Ready',
      async () => !(await kubectl(['get', 'node', 'node-2'])).includes('NotReady'),
      90_000,
    )
  }
})

async function unharmedWithoutLeftoverCheck(name: string): Promise<void> {
  await runPod(client, counterPod({ name, node: 'node-1' }))
  assertFailed(
    await migrate(client, { podName: name, destinationNode: 'node-2', mode: 'Image' }),
    'NodeNotReady',
    /another node/,
  )
  await removePod(client, 'default', name)
}

const withSpec = (name: string, spec: object) => {
  const pod = counterPod({ name, node: 'node-1' })
  return { ...pod, spec: { ...pod.spec, ...spec } }
}

for (const [name, spec, reason] of [
  ['hostnetwork', { hostNetwork: true }, 'HostNamespaces'],
  ['hostpid', { hostPID: true }, 'HostNamespaces'],
  ['emptydir', { volumes: [{ name: 'v', emptyDir: {} }] }, 'VolumeNotSupported'],
] as const) {
  test(`a pod with ${Object.keys(spec)[0]}`, async () => {
    await runPod(client, withSpec(name, spec))
    assertFailed(await migrate(client, { podName: name, destinationNode: 'node-2', mode: 'Image' }), reason, /./)
    await removePod(client, 'default', name)
  })
}

test('a pod of a DaemonSet', async () => {
  const [agent] = (
    await client.list(PODS, { namespace: 'podferry-system', labelSelector: 'app.kubernetes.io/component=agent' })
  ).items
  assert.ok(agent)
  const migration = await migrate(
    client,
    { podName: agent.metadata.name, destinationNode: 'node-2' },
    'podferry-system',
  )
  assertFailed(migration, 'DaemonSetPod', /nowhere/)
})

test('a static pod', async () => {
  const manifest = JSON.stringify({ ...counterPod({ name: 'static', node: 'node-1' }) })
  await node('node-1').exec(
    ['sh', '-c', 'mkdir -p /etc/kubernetes/manifests; cat > /etc/kubernetes/manifests/static.json'],
    { input: manifest },
  )
  try {
    await eventually(
      'its mirror runs',
      async () => (await podOrUndefined(client, 'default', 'static-node-1'))?.status?.phase === 'Running',
    )
    assertFailed(
      await migrate(client, { podName: 'static-node-1', destinationNode: 'node-2', mode: 'Image' }),
      'StaticPod',
      /manifest/,
    )
  } finally {
    await node('node-1').exec(['rm', '-f', '/etc/kubernetes/manifests/static.json'])
    await eventually('its mirror is gone', async () => !(await podOrUndefined(client, 'default', 'static-node-1')))
  }
})

test('a container that CRIU cannot dump: its own lines are told', async () => {
  // fsopen(2): an anonymous inode that CRIU does not know, nor does the agent that looks before the dump.
  const program = `import ctypes, time
print(ctypes.CDLL(None).syscall(430, b'tmpfs', 0), flush=True)
while True: time.sleep(1)`
  const pod = barePod({
    name: 'undumpable',
    node: 'node-1',
    image: 'python:3',
    command: ['/usr/bin/python3', '-c', program],
  })
  Object.assign(pod.spec.containers[0] ?? {}, { securityContext: { privileged: true } })
  await runPod(client, pod)
  const migration = await migrate(client, { podName: 'undumpable', destinationNode: 'node-2', mode: 'Image' })
  assert.equal(condition(migration.status, 'Succeeded')?.reason, 'RolledBack')
  assert.ok(
    migration.status?.failure?.criuLog?.some((line) => line.includes('Error (')),
    JSON.stringify(migration.status?.failure),
  )
  const after = await podOrUndefined(client, 'default', 'undumpable')
  assert.equal(after && restarts(after), 0)
  assert.equal(after?.status?.phase, 'Running')
  await removePod(client, 'default', 'undumpable')
  assert.deepEqual(await lastingLeftovers(client), [])
})

test('no registry on the destination', async () => {
  await kubectl(['label', 'node', 'node-2', 'podferry.dev/no-registry=true'])
  const patch = {
    spec: {
      template: {
        spec: {
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [
                  { matchExpressions: [{ key: 'podferry.dev/no-registry', operator: 'DoesNotExist' }] },
                ],
              },
            },
          },
        },
      },
    },
  }
  await kubectl([
    '-n',
    'podferry-system',
    'patch',
    'daemonset',
    'podferry-registry',
    '--type=merge',
    '-p',
    JSON.stringify(patch),
  ])
  try {
    const onNode2 = async () =>
      (
        await client.list(PODS, {
          namespace: 'podferry-system',
          labelSelector: 'app.kubernetes.io/component=registry',
          fieldSelector: 'spec.nodeName=node-2',
        })
      ).items
    await eventually('the registry of node-2 is gone', async () => (await onNode2()).length === 0)
    await unharmed('noregistry', async () => {
      assertFailed(
        await migrate(client, { podName: 'noregistry', destinationNode: 'node-2', mode: 'Image' }),
        'NoRegistry',
        /component=registry/,
      )
    })
  } finally {
    await kubectl(['label', 'node', 'node-2', 'podferry.dev/no-registry-'])
    await kubectl([
      '-n',
      'podferry-system',
      'patch',
      'daemonset',
      'podferry-registry',
      '--type=json',
      '-p',
      '[{"op":"remove","path":"/spec/template/spec/affinity"}]',
    ])
    await kubectl(['-n', 'podferry-system', 'rollout', 'status', 'daemonset/podferry-registry', '--timeout=90s'])
  }
})

test('a spec that is changed is refused by the API server', async () => {
  await runPod(client, counterPod({ name: 'immutable', node: 'node-1' }))
  const migration = await startMigration(client, { podName: 'immutable', destinationNode: 'node-1', mode: 'Image' })
  const changed = kubectl([
    'patch',
    'mig',
    migration.metadata.name,
    '--type=merge',
    '-p',
    '{"spec":{"destinationNode":"node-2"}}',
  ])
  await assert.rejects(changed, /spec is immutable/)
  await removePod(client, 'default', 'immutable')
})

test('names that are none are refused by the API server', async () => {
  await assert.rejects(
    startMigration(client, { podName: '../etc', destinationNode: 'node-2', mode: 'Image' }),
    /spec.podName/,
  )
})

test('two Migrations of one pod: one moves it, the other is refused', async () => {
  await runPod(client, counterPod({ name: 'wanted', node: 'node-1' }))
  const both = await Promise.all(
    [1, 2].map(() => startMigration(client, { podName: 'wanted', destinationNode: 'node-2', mode: 'Image' })),
  )
  const ends = await Promise.all(both.map((migration) => finished(client, migration)))
  const reasons = ends.map(({ status }) => status?.failure?.reason ?? 'moved').sort()
  assert.deepEqual(reasons, ['AlreadyMigrating', 'moved'])
  const moved = ends.find(({ status }) => status?.failure === undefined)
  await removePod(client, 'default', moved?.status?.destination?.podName ?? '')
})

test('a pod that is deleted and replaced meanwhile is not taken for the old one', async () => {
  await runPod(client, counterPod({ name: 'replaced', node: 'node-1' }))
  await node('node-2').slow('1mbit')
  try {
    const migration = await startMigration(client, { podName: 'replaced', destinationNode: 'node-2', mode: 'Image' })
    await removePod(client, 'default', 'replaced')
    await runPod(client, counterPod({ name: 'replaced', node: 'node-1' }))
    const end = await finished(client, migration)
    assert.match(end.status?.failure?.reason ?? '', /^Pod(Gone|Replaced|Terminating|NotFound|NotRunning)$/)
    assert.equal((await podOrUndefined(client, 'default', 'replaced'))?.status?.phase, 'Running')
  } finally {
    await node('node-2').slow(undefined)
  }
  await removePod(client, 'default', 'replaced')
})

test('a cancelled Migration rolls back', () =>
  unharmed('cancelled', async () => {
    await node('node-2').slow('1mbit')
    try {
      const { metadata } = await startMigration(client, {
        podName: 'cancelled',
        destinationNode: 'node-2',
        mode: 'Image',
      })
      await kubectl(['annotate', 'mig', metadata.name, 'podferry.dev/cancel=test'])
      const end = await finished(client, await client.get(MIGRATIONS, 'default', metadata.name))
      assertFailed(end, 'Cancelled', /cancelled by test/)
    } finally {
      await node('node-2').slow(undefined)
    }
  }))

test('a disk too small is refused before anything is frozen', () =>
  unharmed('nodisk', async () => {
    await node('node-1').exec([
      'sh',
      '-c',
      'mkdir -p /var/lib/kubelet/checkpoints && mount -t tmpfs -o size=64k tmpfs /var/lib/kubelet/checkpoints',
    ])
    try {
      assertFailed(
        await migrate(client, { podName: 'nodisk', destinationNode: 'node-2', mode: 'Image' }),
        'DiskTooSmall',
        /free/,
      )
    } finally {
      await node('node-1').exec(['umount', '/var/lib/kubelet/checkpoints'])
    }
  }))
