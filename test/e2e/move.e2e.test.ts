/** The whole way in mode Image with the bus in the API server: counter and redis, there and back, two at once. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kubectl, node } from '../../lab/cluster.ts'
import { GATEWAY } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { barePod, counterPod, podOrUndefined, removePod, runPod } from '../../lab/scenario/pods.ts'
import { countedBy, isUnbroken, proofsOfMove, redisDigest } from '../../lab/scenario/proofs.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import type { Migration } from '../../src/api/migration.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

async function assertMoved(migration: Migration): Promise<string> {
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  return migration.status?.destination?.podName ?? ''
}

test('a counter moves there and back without losing or repeating a number', async () => {
  const witness = await startWitness(GATEWAY)
  await runPod(client, counterPod({ name: 'there-and-back', node: 'node-1', witness: witness.target }))
  await eventually('it counts', async () => witness.reports.length > 20)
  let pod = 'there-and-back'
  for (const destinationNode of ['node-2', 'node-1']) {
    pod = await assertMoved(await migrate(client, { podName: pod, destinationNode, mode: 'Image' }))
    const seen = witness.reports.length
    await eventually('it counts on', async () => witness.reports.length > seen + 20)
    assert.ok(isUnbroken(await countedBy(pod)), 'its log has a gap')
  }
  assert.deepEqual(violations(witness.reports), [])
  await removePod(client, 'default', pod)
  await witness.close()
  assert.deepEqual(await lastingLeftovers(client), [])
})

test('redis keeps its dataset', async () => {
  await runPod(client, barePod({ name: 'redis-moves', node: 'node-1', image: 'redis:8' }))
  const cli = (...words: string[]) => kubectl(['exec', 'redis-moves', '--', '/usr/bin/redis-cli', ...words])
  await eventually('redis answers', async () => (await cli('ping')).includes('PONG'))
  await cli('debug', 'populate', '10000', 'key', '64')
  const digest = await redisDigest('redis-moves')
  const pod = await assertMoved(
    await migrate(client, { podName: 'redis-moves', destinationNode: 'node-2', mode: 'Image' }),
  )
  assert.equal(await redisDigest(pod), digest)
  await removePod(client, 'default', pod)
})

test('two pods move at once, each to the node of the other', async () => {
  const witnesses = await Promise.all([startWitness(GATEWAY), startWitness(GATEWAY)])
  const routes = [
    { name: 'left', node: 'node-1', to: 'node-2' },
    { name: 'right', node: 'node-2', to: 'node-1' },
  ]
  await Promise.all(
    routes.map(({ name, node }, i) => runPod(client, counterPod({ name, node, witness: witnesses[i]?.target ?? '' }))),
  )
  const migrations = await Promise.all(
    routes.map(({ name, to }) => migrate(client, { podName: name, destinationNode: to, mode: 'Image' })),
  )
  for (const migration of migrations) await removePod(client, 'default', await assertMoved(migration))
  for (const witness of witnesses) {
    assert.deepEqual(violations(witness.reports), [])
    await witness.close()
  }
})

test('without a destination the scheduler picks the other node', async () => {
  await runPod(client, counterPod({ name: 'anywhere', node: 'node-2' }))
  const migration = await migrate(client, { podName: 'anywhere', mode: 'Image' })
  assert.equal(migration.status?.destination?.node, 'node-1')
  await removePod(client, 'default', await assertMoved(migration))
})

test('a restart inside the moved pod is an ordinary fresh start', async () => {
  await runPod(client, counterPod({ name: 'restarts', node: 'node-1' }))
  const pod = await assertMoved(
    await migrate(client, { podName: 'restarts', destinationNode: 'node-2', mode: 'Image' }),
  )
  const { metadata } = (await podOrUndefined(client, 'default', pod)) ?? assert.fail('the moved pod is gone')
  const script = 'for pid in $(pgrep -x counter); do grep -q "$1" /proc/$pid/cgroup && kill -9 "$pid"; done'
  await node('node-2').exec(['sh', '-c', script, 'sh', metadata.uid])
  await eventually('it was started again', async () => {
    const state = await kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}'])
    return Number(state) > 0 && (await countedBy(pod))[0] === 1
  })
  await removePod(client, 'default', pod)
})

test('kubectl shows the columns, waits for the end and finds the events', async () => {
  await runPod(client, counterPod({ name: 'shown', node: 'node-1' }))
  const started = await startMigration(client, { podName: 'shown', destinationNode: 'node-2', mode: 'Image' })
  const { name } = started.metadata
  await kubectl(['wait', '--for=condition=Succeeded', `mig/${name}`, '--timeout=60s'])
  const [header = '', ...rows] = (await kubectl(['get', 'mig', '-A'])).split('\n')
  assert.deepEqual(header.trim().split(/\s+/), [
    'NAMESPACE',
    'NAME',
    'POD',
    'FROM',
    'TO',
    'MODE',
    'PHASE',
    'DOWNTIME',
    'AGE',
  ])
  const row = rows.find((line) => line.includes(name)) ?? ''
  assert.match(row, /shown\s+node-1\s+node-2\s+Image\s+Succeeded\s+[\d.]+s/)
  const migration = await finished(client, started)
  await eventually('events are there', async () => {
    const events = await kubectl([
      'get',
      'events',
      '--field-selector',
      `involvedObject.name=${name}`,
      '-o',
      'jsonpath={.items[*].reason}',
    ])
    return ['Accepted', 'Checkpointed', 'Delivered', 'Committed', 'Restored', 'Succeeded'].every((reason) =>
      events.includes(reason),
    )
  })
  await removePod(client, 'default', migration.status?.destination?.podName ?? '')
})
