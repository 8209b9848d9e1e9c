/** A bare pod that keeps its book on a claim which both nodes can have. What it has written is with the storage before the other node reads on. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { node } from '../../lab/cluster.ts'
import { GATEWAY } from '../../lab/places.ts'
import { createClaim, removeClaim } from '../../lab/scenario/claims.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { ledgerPod, podOrUndefined, podsUnder, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const NAME = 'shared-book'
/** Found before the node's own program of that name. */
const SYNC = '/usr/local/bin/sync'
const SYNCED = '/run/synced-by-podferry'

let client: KubeClient
let witness: Awaited<ReturnType<typeof startWitness>>

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
  witness = await startWitness(GATEWAY)
  await createClaim(client, NAME, 'ReadWriteMany')
  const pod = ledgerPod({ name: NAME, node: 'node-1', witness: witness.target, mebibytes: 16 })
  for (const container of pod.spec.containers)
    Object.assign(container, { volumeMounts: [{ name: 'book', mountPath: '/book' }] })
  Object.assign(pod.spec, { volumes: [{ name: 'book', persistentVolumeClaim: { claimName: NAME } }] })
  await runPod(client, pod)
  await eventually('it counts', async () => witness.reports.length > 50)
})
after(async () => {
  try {
    for (const { metadata } of await podsUnder(client, NAME)) await removePod(client, 'default', metadata.name)
    await removeClaim(NAME)
    assert.deepEqual(await lastingLeftovers(client), [])
  } finally {
    await witness.close()
    client.close()
  }
})

/** It counts on, and has found in memory and on the claim all that it ever wrote there. */
async function assertWhole(): Promise<void> {
  const seen = witness.reports.length
  await eventually('it counts on', async () => witness.reports.length > seen + 50)
  assert.deepEqual(violations(witness.reports), [])
  assert.match(witness.reports.at(-1)?.state ?? '', / ok$/)
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
