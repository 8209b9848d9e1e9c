/**
 * Bare pods that keep their books on claims. One that both nodes may have is synced before the other node reads on; one that only one
 * node may have at a time is let go of first, and the pod keeps its name.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { node } from '../../lab/cluster.ts'
import { imageRef } from '../../lab/images.ts'
import { GATEWAY, type NodeName } from '../../lab/places.ts'
import { type AccessMode, createClaim, removeClaim } from '../../lab/scenario/claims.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry, ready } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { ledgerPod, podOrUndefined, podsUnder, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { reaches } from '../../lab/scenario/stages.ts'
import { killEverywhere, signal } from '../../lab/scenario/victims.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const NAME = 'shared-book'
const LONE = 'lone-book'
/** Found before the node's own program of that name. */
const SYNC = '/usr/local/bin/sync'
const SYNCED = '/run/synced-by-podferry'

let client: KubeClient
let witness: Awaited<ReturnType<typeof startWitness>> | undefined
const reports = () => witness?.reports ?? []

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(async () => {
  try {
    for (const name of [NAME, LONE]) await removeBook(name)
    assert.deepEqual(await lastingLeftovers(client), [])
  } finally {
    await witness?.close()
    client.close()
  }
})

async function openBook(name: string, accessMode: AccessMode): Promise<void> {
  // Each book has a witness of its own.
  await witness?.close()
  witness = await startWitness(GATEWAY)
  await createClaim(client, name, accessMode)
  const pod = ledgerPod({ name, node: 'node-1', witness: witness.target, mebibytes: 16 })
  for (const container of pod.spec.containers)
    Object.assign(container, { volumeMounts: [{ name: 'book', mountPath: '/book' }] })
  Object.assign(pod.spec, { volumes: [{ name: 'book', persistentVolumeClaim: { claimName: name } }] })
  await runPod(client, pod)
  await eventually('it counts', async () => reports().length > 50)
}

async function removeBook(name: string): Promise<void> {
  for (const { metadata } of await podsUnder(client, name)) await removePod(client, 'default', metadata.name)
  await removeClaim(name)
}

/** It counts on, and has found in memory and on the claim all that it ever wrote there. */
async function assertWhole(): Promise<void> {
  const seen = reports().length
  await eventually('it counts on', async () => reports().length > seen + 50)
  assert.deepEqual(violations(reports()), [])
  assert.match(reports().at(-1)?.state ?? '', / ok$/)
}

/** Puts a program in the place of sync(1) on node-1 that writes down when it was called, and fails from that call on. */
async function watchSync(failsFrom: number): Promise<() => Promise<string[]>> {
  const machine = node('node-1')
  const script = `#!/bin/sh
echo "$(date +%s%3N) $*" >>${SYNCED}
if [ "$(wc -l <${SYNCED})" -ge ${failsFrom} ]; then echo 'sync: Disk quota exceeded' >&2; exit 1; fi
exec /usr/bin/sync "$@"
`
  await machine.exec(['sh', '-c', `rm -f ${SYNCED}; printf %s "$1" >${SYNC}; chmod +x ${SYNC}`, 'sh', script])
  return async () => {
    const calls = await machine.exec(['sh', '-c', `cat ${SYNCED} 2>/dev/null; rm -f ${SYNC} ${SYNCED}`])
    return calls.split('\n').filter(Boolean)
  }
}

test('a storage that takes nothing more while the pod stands still: it runs on where it was, and is told why', async () => {
  await openBook(NAME, 'ReadWriteMany')
  const calls = await watchSync(2)
  const { status } = await migrate(client, { podName: NAME, destinationNode: 'node-2' })
  assert.equal((await calls()).length, 2)
  assert.equal(status?.failure?.reason, 'VolumeNotSynced', status?.failure?.message)
  assert.match(status.failure.message, /Disk quota exceeded; see that the storage answers and has room/)
  assert.ok(status.timings?.frozenAt, 'it stood still')
  console.log(`given up after a downtime of ${status.timings?.downtime}`)
  const pod = await podOrUndefined(client, 'default', NAME)
  assert.equal(pod && restarts(pod), 0)
  await assertWhole()
})

test('a ReadWriteMany claim stays as it is: what the program wrote before the cut is synced while it stands still, there and back', async () => {
  const calls = await watchSync(99)
  const there = await migrate(client, { podName: NAME, destinationNode: 'node-2' })
  const [ahead, standing, ...more] = await calls()
  for (const { sentence, holds } of await proofsOfMove(client, there)) assert.ok(holds, sentence)
  const { mode, timings, destination } = there.status ?? {}
  assert.equal(mode, 'Live')
  assert.deepEqual(more, [])
  assert.match(standing ?? '', /--file-system -- \/var\/lib\/kubelet\/pods\/\S+podferry\.dev~shared\/shared-book$/)
  const [frozenAt = 0, committedAt = 0] = [timings?.frozenAt, timings?.committedAt].map((at) => Date.parse(at ?? ''))
  const [first = 0, second = 0] = [ahead, standing].map((call) => Number(call?.split(' ')[0]))
  assert.ok(
    first < frozenAt && frozenAt <= second && second <= committedAt,
    `${first} ${frozenAt} ${second} ${committedAt}`,
  )
  await assertWhole()

  const back = await migrate(client, { podName: destination?.podName ?? '', destinationNode: 'node-1' })
  for (const { sentence, holds } of await proofsOfMove(client, back)) assert.ok(holds, sentence)
  await assertWhole()
  const downtimesMs = [there, back].map(({ status }) => status?.timings?.downtimeMs ?? Number.NaN)
  console.log(`downtimes ${downtimesMs.join(' and ')} ms`)
  const checked = 'memory and the file on the claim go on by exactly one; what was written is synced before the commit'
  await noteSeen({ kind: 'feature', what: 'ReadWriteMany claim', result: 'moves', checked, downtimesMs })
})

/** Whether it runs under its own name, on its own claim, never started anew. @returns its node */
async function assertLone(): Promise<string | undefined> {
  const pod = await podOrUndefined(client, 'default', LONE)
  assert.equal(pod && restarts(pod), 0)
  assert.deepEqual(
    pod?.spec.volumes?.flatMap(({ persistentVolumeClaim: claim }) => claim ?? []),
    [{ claimName: LONE }],
  )
  assert.deepEqual(
    (await podsUnder(client, LONE)).map(({ metadata }) => metadata.name),
    [LONE],
  )
  await assertWhole()
  return pod?.spec.nodeName
}

test('a ReadWriteOnce claim is let go of before the other node takes it: same name, memory and file go on, there and back', async () => {
  await removeBook(NAME)
  await openBook(LONE, 'ReadWriteOnce')
  const downtimesMs: number[] = []
  for (const destinationNode of ['node-2', 'node-1'] as const) {
    const migration = await migrate(client, { podName: LONE, destinationNode })
    for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
    const { status } = migration
    assert.deepEqual([status?.mode, status?.destination?.podName], ['Image', LONE])
    assert.match(condition(status, 'Accepted')?.message ?? '', /not Live: .*its volumes are free/)
    assert.equal(await assertLone(), destinationNode)
    assert.deepEqual(await lastingLeftovers(client), [])
    downtimesMs.push(status?.timings?.downtimeMs ?? Number.NaN)
  }
  console.log(`downtimes ${downtimesMs.join(' and ')} ms`)
  const checked =
    'name and claim stay, the source has let go of the volume; memory and the file on it go on by exactly one'
  await noteSeen({ kind: 'feature', what: 'ReadWriteOnce claim of a bare pod', result: 'moves', checked, downtimesMs })
})

test('mode Live is refused for it, with the way out', async () => {
  const { status } = await migrate(client, { podName: LONE, destinationNode: 'node-2', mode: 'Live' })
  assert.equal(status?.failure?.reason, 'VolumeNotSupported')
  assert.match(status.failure.message, /claim lone-book.*use mode Image or Auto: there the source goes first/)
})

const VICTIMS = {
  controller: () => killEverywhere('controller'),
  'source agent': () => signal('node-1', 'agent', 'KILL'),
  'destination agent': () => signal('node-2', 'agent', 'KILL'),
}

for (const [victim, kill] of Object.entries(VICTIMS)) {
  test(`kill -9 of the ${victim} while nobody has the name: it arrives all the same`, async () => {
    if ((await podOrUndefined(client, 'default', LONE))?.spec.nodeName === 'node-2') {
      const { status } = await migrate(client, { podName: LONE, destinationNode: 'node-1' })
      assert.equal(condition(status, 'Succeeded')?.status, 'True')
    }
    const started = await startMigration(client, { podName: LONE, destinationNode: 'node-2' })
    await reaches(client, started, 'Committed')
    assert.ok((await kill()) > 0, 'there was nothing to strike')
    const { status } = await finished(client, started)
    assert.equal(condition(status, 'Succeeded')?.status, 'True', condition(status, 'Succeeded')?.message)
    await ready()
    assert.equal(await assertLone(), 'node-2')
    assert.deepEqual(await lastingLeftovers(client), [])
  })
}

/** Takes CRIU away from nodes from a step of a move on. @returns the Migration in its last state */
async function moveWithoutCriu(nodes: readonly NodeName[], destinationNode: NodeName): Promise<Migration> {
  const criuOn = async (name: NodeName) => (await node(name).exec(['sh', '-c', 'command -v criu'])).trim()
  const places = await Promise.all(nodes.map(async (name) => ({ machine: node(name), criu: await criuOn(name) })))
  const started = await startMigration(client, { podName: LONE, destinationNode })
  try {
    await reaches(client, started, 'Checkpointed')
    for (const { machine, criu } of places) await machine.exec(['mv', criu, `${criu}.away`])
    return await finished(client, started, 240_000)
  } finally {
    for (const { machine, criu } of places) await machine.exec(['mv', `${criu}.away`, criu])
  }
}

test('what can be restored only where it came from comes back there, under its name, with its state', async () => {
  const { status } = await moveWithoutCriu(['node-1'], 'node-1')
  const summary = condition(status, 'Succeeded')
  assert.equal(summary?.reason, 'RolledBack')
  assert.match(summary.message, /runs on at node-2, restored from the checkpoint kept there/)
  assert.equal(await assertLone(), 'node-2')
  assert.deepEqual(await lastingLeftovers(client), [])
})

test('what can be restored nowhere is started afresh on its claim, and its state is kept', async () => {
  const { status } = await moveWithoutCriu(['node-1', 'node-2'], 'node-1')
  const { message = '' } = condition(status, 'Succeeded') ?? {}
  const [archive = ''] = status?.source?.kept ?? []
  assert.match(message, /could be restored nowhere, it was started afresh; its state is kept on node node-2/)
  assert.ok(message.includes(archive))
  const seen = reports().length
  await eventually('it counts again', async () => reports().length > seen + 20, 60_000)
  const pod = await podOrUndefined(client, 'default', LONE)
  assert.equal(pod?.spec.containers[0]?.image, imageRef('ledger:1'))
  await node('node-2').exec(['rm', archive])
  assert.deepEqual(await lastingLeftovers(client), [])
})
