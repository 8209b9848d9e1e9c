/** Pods of several containers: one cut through all of them, and none runs at the destination before the last one is restored. */
import assert from 'node:assert/strict'
import { stat, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { kubectl } from '../../lab/cluster.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { whileRestoresFail } from '../../lab/scenario/failing-restores.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { finished, migrate, startMigration } from '../../lab/scenario/migrate.ts'
import { processesOf } from '../../lab/scenario/node-processes.ts'
import { barePod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { isUnbroken, proofsOfMove } from '../../lab/scenario/proofs.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { events } from '../../src/kube/events.ts'

let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

/** Counts in its own memory what the other container counts in its own, and ends at the first difference. */
const SERVER = `
import os, socket, sys
listener = socket.socket(socket.AF_UNIX); listener.bind('/shared/socket'); listener.listen(4)
last = 0
while True:
    peer, _ = listener.accept()
    n = int(peer.recv(64))
    if n != last + 1: sys.exit(f'{n} came after {last}')
    last = n
    peer.send(str(last).encode()); peer.close()
`

/** Asks for the next number over the socket, writes it into the volume that both share, and a copy into its own layer. */
const CLIENT = `
import os, socket, sys, time
n = 0
own = open('/own', 'a', buffering=1)
with open('/shared/book', 'a', buffering=1) as book:
    while True:
        try:
            server = socket.socket(socket.AF_UNIX); server.connect('/shared/socket')
        except OSError:
            if n: raise
            time.sleep(0.05); continue
        n += 1
        server.send(str(n).encode())
        if server.recv(64) != str(n).encode(): sys.exit(f'no answer to {n}')
        server.close()
        book.write(f'{n}\\n'); own.write(f'{n}\\n')
        time.sleep(0.05)
`

/** @param as what the one is that answers */
async function runPair(name: string, as: 'container' | 'sidecar'): Promise<void> {
  const pod = barePod({ name, node: 'node-1', image: 'python:3', command: ['/usr/bin/python3', '-c', SERVER] })
  const [main] = pod.spec.containers
  assert.ok(main)
  const volumeMounts = [{ name: 'shared', mountPath: '/shared' }]
  const server = { ...main, name: 'server', volumeMounts }
  const talker = { ...main, name: 'client', command: ['/usr/bin/python3', '-c', CLIENT], volumeMounts }
  const volumes = [{ name: 'shared', emptyDir: {} }]
  if (as === 'container') Object.assign(pod.spec, { containers: [server, talker], volumes })
  else
    Object.assign(pod.spec, { initContainers: [{ ...server, restartPolicy: 'Always' }], containers: [talker], volumes })
  await runPod(client, pod)
  await eventually('both talk', async () => (await book(name)).length > 20)
}

async function lines(pod: string, path: string): Promise<number[]> {
  const print = ['/usr/bin/python3', '-c', `print(open('${path}').read())`]
  return (await kubectl(['exec', pod, '-c', 'client', '--', ...print])).trim().split('\n').map(Number)
}
const book = (pod: string) => lines(pod, '/shared/book').catch(() => [])

async function assertUnbroken(pod: string): Promise<void> {
  const before = (await book(pod)).length
  await eventually('both talk on', async () => (await book(pod)).length > before + 20)
  const numbers = await book(pod)
  assert.ok(numbers[0] === 1 && isUnbroken(numbers), `gap or repeat: ${numbers}`)
  const own = await lines(pod, '/own')
  assert.ok(own[0] === 1 && isUnbroken(own) && own.length >= numbers.length, 'the layer is of the same moment')
  const now = await podOrUndefined(client, 'default', pod)
  assert.equal(now && restarts(now), 0)
}

/** CRIU refuses a connection that is open between two containers at that very moment: tried again then, as a person would. */
async function untilDumped(move: () => Promise<Migration>): Promise<Migration> {
  for (let tries = 1; ; tries++) {
    const migration = await move()
    const reason = migration.status?.failure?.reason ?? ''
    if (!/^(ExternalUnixSocket|SocketInFlight)$/.test(reason) || tries > 4) return migration
    console.log(`${reason}: trying again`)
  }
}

for (const [as, name, what] of [
  ['container', 'pair', 'two containers that share an emptyDir and a unix socket'],
  ['sidecar', 'escort', 'a container and a sidecar that share an emptyDir and a unix socket'],
] as const) {
  test(`${what} move there and back, each time at one moment`, async () => {
    await runPair(name, as)
    let pod: string = name
    const downtimesMs: number[] = []
    for (const node of ['node-2', 'node-1']) {
      const podName = pod
      const move = () => migrate(client, { podName, destinationNode: node, mode: 'Live' })
      const migration = await untilDumped(move)
      for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
      pod = migration.status?.destination?.podName ?? ''
      await assertUnbroken(pod)
      downtimesMs.push(migration.status?.timings?.downtimeMs ?? Number.NaN)
    }
    console.log(`downtimes ${downtimesMs.join(' and ')} ms`)
    await noteSeen({
      ...{ kind: 'feature', what, result: 'moves', downtimesMs },
      checked: 'what each counts in its own memory agrees with the other, the volume and the layers: no gap, no repeat',
    })
    await removePod(client, 'default', pod)
    assert.deepEqual(await lastingLeftovers(client), [])
  })
}

test('the last container cannot be restored: what was restored before it has not run, and the source goes on', async () => {
  await runPair('half', 'container')
  const { result: ended, refused } = await whileRestoresFail('node-2', 'client', () =>
    untilDumped(() => migrate(client, { podName: 'half', destinationNode: 'node-2', mode: 'Live' })),
  )
  assert.ok(refused > 0, `nothing was restored: ${JSON.stringify(ended.status?.failure)}`)
  assert.equal(condition(ended.status, 'Succeeded')?.reason, 'RolledBack')
  assert.match(ended.status?.failure?.reason ?? '', /^RestoreFailed$/)
  await assertUnbroken('half')
  await removePod(client, 'default', 'half')
  assert.deepEqual(await lastingLeftovers(client), [])
})

/** Has a connection that nobody has accepted yet, until it is told to accept it. */
const HESITANT = `
import os, socket, time
listener = socket.socket(socket.AF_UNIX); listener.bind('/in-flight'); listener.listen(1)
client = socket.socket(socket.AF_UNIX); client.connect('/in-flight'); client.send(b'?')
while not os.path.exists('/accept'): time.sleep(0.002)
listener.accept()[0].close(); client.close()
while True: time.sleep(1)
`

test('what CRIU refuses for a moment only is dumped once more by itself, and the pod is told of it', async () => {
  const command = ['/usr/bin/python3', '-c', HESITANT]
  await runPod(client, barePod({ name: 'hesitant', node: 'node-1', image: 'python:3', command }))
  // Past kubectl and kubelet: between two tries there is half a second.
  const root = await eventually('it has its connection', async () => {
    const [program] = await processesOf('node-1', /^python3 .*in-flight/s)
    const its = program && `/proc/${program.pid}/root`
    return its && (await stat(`${its}/in-flight`)) && its
  })
  const told = async () => {
    const fieldSelector = 'reason=TryingAgain,involvedObject.name=hesitant'
    const { items } = await client.list(events, { namespace: 'default', fieldSelector })
    return items[0]?.message
  }
  const started = await startMigration(client, { podName: 'hesitant', destinationNode: 'node-2', mode: 'Live' })
  const said = await eventually('the pod is told', told, 60_000, 20)
  await writeFile(`${root}/accept`, '')
  console.log(said)
  assert.match(said, /dumped once more soon: .*not yet accepted/)
  const migration = await finished(client, started)
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  await removePod(client, 'default', migration.status?.destination?.podName ?? '')
  assert.deepEqual(await lastingLeftovers(client), [])
})
