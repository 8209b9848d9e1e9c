/** Mode Live: memory, files and log of real pods there and back, and every way back before the commit. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { kubectl, node } from '../../lab/cluster.ts'
import { GATEWAY } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { barePod, counterPod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { proofsOfMove, redisDigest } from '../../lab/scenario/proofs.ts'
import { reaches, type Stage } from '../../lab/scenario/stages.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { condition, isTrue } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import { CANCEL_ANNOTATION } from '../../src/api/names.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

async function assertMoved(migration: Migration): Promise<string> {
  assert.equal(migration.status?.mode, 'Live')
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  return migration.status?.destination?.podName ?? ''
}

const nothingIsLeft = async () => {
  assert.deepEqual(await lastingLeftovers(client), [])
}

test('a counter moves there and back; mode Auto is Live where both nodes can', async () => {
  const witness = await startWitness(GATEWAY)
  await runPod(client, counterPod({ name: 'live-counter', node: 'node-1', witness: witness.target }))
  await eventually('it counts', async () => witness.reports.length > 20)
  let pod = 'live-counter'
  for (const destinationNode of ['node-2', 'node-1', 'node-2']) {
    pod = await assertMoved(await migrate(client, { podName: pod, destinationNode }))
    const seen = witness.reports.length
    await eventually('it counts on', async () => witness.reports.length > seen + 20)
  }
  assert.deepEqual(violations(witness.reports), [])
  await removePod(client, 'default', pod)
  await witness.close()
  await nothingIsLeft()
})

test('redis keeps its dataset', async () => {
  await runPod(client, barePod({ name: 'live-redis', node: 'node-1', image: 'redis:8' }))
  const cli = (...words: string[]) => kubectl(['exec', 'live-redis', '--', '/usr/bin/redis-cli', ...words])
  await eventually('redis answers', async () => (await cli('ping')).includes('PONG'))
  await cli('debug', 'populate', '100000', 'key', '200')
  const digest = await redisDigest('live-redis')
  const pod = await assertMoved(
    await migrate(client, { podName: 'live-redis', destinationNode: 'node-2', mode: 'Live' }),
  )
  assert.equal(await redisDigest(pod), digest)
  await removePod(client, 'default', pod)
  await nothingIsLeft()
})

/** Lists every file of the places that move, with mode, owner, size, links and content. */
const LISTING = `cd / && for d in /data /mem /dev/shm /work; do
  find $d | sort | while read -r f; do
    [ -f "$f" ] && [ ! -L "$f" ] && sum=$(md5sum < "$f") || sum=-
    echo "$(stat -c '%n %f %u %g %h %Y' "$f") $sum"
  done
done`

test('files move: writable layer, emptyDirs on disk and in memory, shared memory; changes and deletions too', async () => {
  const script = `mkdir -p /work/gone /work/kept && echo one > /work/kept/file && echo x > /work/gone/file && ln /work/kept/file /work/hard &&
    ln -s kept /work/link && chmod 2750 /work/kept && echo data > /data/file && echo mem > /mem/file && echo shm > /dev/shm/file &&
    rm /etc/group && touch /ready; while :; do date +%s%N > /work/now; sleep 0.05; done`
  const volumes = [
    { name: 'data', emptyDir: {} },
    { name: 'mem', emptyDir: { medium: 'Memory' } },
  ]
  const mounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }))
  const pod = barePod({ name: 'live-files', node: 'node-1', image: 'busybox:1', command: ['/bin/sh', '-c', script] })
  const [main] = pod.spec.containers
  Object.assign(main ?? {}, { volumeMounts: mounts })
  Object.assign(pod.spec, { volumes })
  await runPod(client, pod)
  const inside = (name: string, command: string) => kubectl(['exec', name, '--', '/bin/sh', '-c', command])
  await eventually('its files are there', async () => (await inside('live-files', 'ls /ready')).includes('ready'))
  await inside('live-files', 'rm -r /work/gone; echo two >> /work/kept/file; rm /work/link; mkdir /work/link')
  const listing = `${LISTING} | grep -v /work/now; ls /etc/group 2>&1; true`
  const before = await inside('live-files', listing)
  const moved = await assertMoved(
    await migrate(client, { podName: 'live-files', destinationNode: 'node-2', mode: 'Live' }),
  )
  assert.equal(await inside(moved, listing), before)
  assert.match(before, /No such file/, 'a deletion in the image must be seen')
  await removePod(client, 'default', moved)
  await nothingIsLeft()
})

describe('cancelled before the commit, the source runs on without a restart', () => {
  const AT: Stage[] = ['Created', 'Accepted', 'DestinationReady', 'Checkpointed']
  for (const stage of AT) {
    test(`at ${stage}`, async () => {
      const name = `live-cancel-${stage.toLowerCase()}`
      const witness = await startWitness(GATEWAY)
      await runPod(client, counterPod({ name, node: 'node-1', witness: witness.target }))
      await eventually('it counts', async () => witness.reports.length > 20)
      // Images crawl, so that there is time to cancel.
      await node('node-2').slow(stage === 'Checkpointed' ? '1mbit' : undefined)
      try {
        const started = await startMigration(client, { podName: name, destinationNode: 'node-2', mode: 'Live' })
        await reaches(client, started, stage)
        await kubectl(['annotate', 'mig', started.metadata.name, `${CANCEL_ANNOTATION}=test`])
        const { status } = await finished(client, started)
        // Whoever writes first wins: a commit may have come before.
        const survivor = isTrue(status, 'Succeeded') ? (status?.destination?.podName ?? '') : name
        if (survivor === name) assert.equal(status?.failure?.reason, 'Cancelled')
        const seen = witness.reports.length
        await eventually('it counts on', async () => witness.reports.length > seen + 20)
        const pod = await podOrUndefined(client, 'default', survivor)
        assert.equal(pod && restarts(pod), 0)
        assert.deepEqual(violations(witness.reports), [])
        const what = condition(status, 'Succeeded')
        console.log(`cancelled at ${stage}: ${what?.reason}, downtime ${status?.timings?.downtime ?? 'none'}`)
        await removePod(client, 'default', survivor)
      } finally {
        await node('node-2').slow(undefined)
      }
      await witness.close()
      await nothingIsLeft()
    })
  }
})

test('a mode that the nodes cannot do is refused by its name', async () => {
  await runPod(client, barePod({ name: 'live-unable', node: 'node-1', image: 'counter:1' }))
  await kubectl(['label', 'node', 'node-2', 'podferry.dev/live-'])
  try {
    const { status } = await migrate(client, { podName: 'live-unable', destinationNode: 'node-2', mode: 'Live' })
    assert.equal(status?.failure?.reason, 'LiveNotPossible')
    assert.match(status?.failure?.message ?? '', /node-2/)
    const auto = await migrate(client, { podName: 'live-unable', destinationNode: 'node-2' })
    assert.equal(auto.status?.mode, 'Image', 'Auto falls back')
    await removePod(client, 'default', auto.status?.destination?.podName ?? '')
  } finally {
    await kubectl(['label', 'node', 'node-2', 'podferry.dev/live=true', '--overwrite'])
  }
})
