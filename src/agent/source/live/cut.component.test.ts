/** Mode Live's dump, fence and abort with a real runc and CRIU: needs the lab, and to run inside its network. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { runningInit } from '../../../../lab/machine.ts'
import { connect } from '../../../../lab/scenario/connect.ts'
import { eventually } from '../../../../lab/scenario/eventually.ts'
import { counterPod, removePod, runPod } from '../../../../lab/scenario/pods.ts'
import type { Migration } from '../../../api/migration.ts'
import { PODS } from '../../../api/resources.ts'
import type { KubeClient } from '../../../kube/client.ts'
import type { AgentContext } from '../../context.ts'
import { install } from '../../install/install.ts'
import { liveTarget } from '../preconditions.ts'
import { unwind } from './abort.ts'
import { cut } from './cut.ts'
import type { LiveEntry } from './entry.ts'
import { containerFolder, statusFile } from './places.ts'
import { release } from './release.ts'
import { containerState, dumpCommand } from './runc.ts'
import { labDependencies } from './testing/lab.ts'
import { watchPages } from './watch.ts'

const NODE = 'node-1'
const NAMESPACE = `podferry-live-test-${process.pid}`
const log = pino({ level: process.env.PODFERRY_LOG_LEVEL ?? 'silent' })

let client: KubeClient
let folder: string
let ctx: AgentContext
let deps: Awaited<ReturnType<typeof labDependencies>>
let uids = 0

before(async () => {
  client = await connect()
  folder = await mkdtemp(join(tmpdir(), 'podferry-live-'))
  const init = await runningInit(NODE)
  const hostRoot = `/proc/${init}/root`
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }
  await client.request({ method: 'POST', path: '/api/v1/namespaces', body: namespace })
  ctx = { nodeName: NODE, client, log, hostRoot, now: () => new Date() }
  deps = await labDependencies(ctx, init, folder)
  await install(hostRoot)
  for (const [name, containers] of Object.entries({ one: ['main'], two: ['main', 'second'] })) {
    const pod = counterPod({ name, node: NODE, namespace: NAMESPACE, intervalMs: 20 })
    const [container] = pod.spec.containers
    assert.ok(container)
    pod.spec.containers = containers.map((own) => ({ ...container, name: own }))
    await runPod(client, pod)
  }
})

after(async () => {
  for (const name of ['one', 'two']) await removePod(client, NAMESPACE, name)
  await client.request({ method: 'DELETE', path: `/api/v1/namespaces/${NAMESPACE}` })
  await deps.close()
  await rm(folder, { recursive: true })
})

async function numbers(pod: string, container = 'main'): Promise<number[]> {
  const path = `/api/v1/namespaces/${NAMESPACE}/pods/${pod}/log`
  const text = await client.request({ method: 'GET', path, query: { container, tailLines: 200 } })
  return text.trim().split('\n').map(Number)
}
const last = async (pod: string, container?: string) => (await numbers(pod, container)).at(-1) ?? 0

/** As far as `precopy` brings it. */
async function newEntry(podName: string): Promise<LiveEntry> {
  const uid = `aaaaaaaa-0000-4000-8000-${String(++uids).padStart(12, '0')}`
  const pod = await client.get(PODS, NAMESPACE, podName)
  const migration = {
    ...{ apiVersion: '', kind: '', spec: { podName, mode: 'Live', connections: 'Auto', timeoutSeconds: 60 } },
    metadata: { name: 'm', namespace: NAMESPACE, uid, resourceVersion: '', creationTimestamp: '' },
    status: { source: { node: NODE, podUID: pod.metadata.uid } },
  } as Migration
  const target = liveTarget(migration, NODE, pod)
  const cgroup = await deps.fence.find(target.pod.uid)
  assert.ok(cgroup)
  const containers = await Promise.all(
    target.containers.map(async (own) => ({ ...own, pid: (await containerState(deps.node, own.id)).pid })),
  )
  const entry: LiveEntry = {
    ...{ uid, namespace: NAMESPACE, name: 'm', pod: target.pod, containers, cgroup, step: 'preparing' },
    startedAt: new Date().toISOString(),
  }
  await deps.journal.write(entry)
  await deps.places.make(
    uid,
    containers.map(({ name }) => name),
  )
  return entry
}

/** The pod counts on without a gap, in the processes it always had, and nothing of the dump is left on the node. */
async function assertUntouched(entry: LiveEntry): Promise<void> {
  for (const { name } of entry.containers) {
    const stopped = await last(entry.pod.name, name)
    await eventually(`${name} goes on`, async () => (await last(entry.pod.name, name)) > stopped + 5, 20_000)
    const seen = await numbers(entry.pod.name, name)
    for (const [index, number] of seen.entries()) assert.equal(number, (seen[0] ?? 0) + index, 'missing or doubled')
  }
  const { status } = await client.get(PODS, NAMESPACE, entry.pod.name)
  assert.deepEqual(
    status?.containerStatuses?.map(({ restartCount }) => restartCount),
    entry.containers.map(() => 0),
  )
  assert.equal(await deps.fence.state(entry.cgroup), 'thawed')
  assert.equal(await deps.fence.claimant(entry.cgroup), undefined)
  assert.equal(existsSync(join(ctx.hostRoot, '/run/podferry/live', entry.uid)), false)
}

const giveUp = (entry: LiveEntry, by: 'thaw' | 'kill') =>
  release(ctx, deps, { migrationUID: entry.uid, podUID: entry.pod.uid, entry: deps.journal.read(entry.uid), by })

for (const pod of ['one', 'two']) {
  test(`pod ${pod}: a cut stands still and serves its pages, and after an abort goes on by exactly one`, async (t) => {
    const entry = await newEntry(pod)
    const fenced = await cut(ctx, deps, entry)
    t.diagnostic(`dump ${fenced.dumpMs} ms, fence ${fenced.fenceMs} ms`)
    assert.equal(deps.journal.read(entry.uid)?.step, 'fenced')
    assert.equal(await deps.fence.isFrozen(entry.cgroup), true)
    const stopped = await last(pod)
    await delay(1_000)
    assert.equal(await last(pod), stopped, 'the fence holds')
    assert.equal(await watchPages(deps, fenced), 'served')
    const began = performance.now()
    await giveUp(entry, 'thaw')
    t.diagnostic(`abort ${Math.round(performance.now() - began)} ms`)
    await assertUntouched(entry)
    assert.equal(deps.journal.read(entry.uid), undefined)
  })
}

test('when keeper and holder are of no use, SIGKILL lets the pod go', async () => {
  const entry = await newEntry('one')
  await cut(ctx, deps, entry)
  deps.keepers.hang = true
  await giveUp(entry, 'thaw')
  deps.keepers.hang = false
  await assertUntouched(entry)
})

test('runc killed behind our back: the pages count as lost, and the pod goes on all the same', async () => {
  const entry = await newEntry('two')
  const fenced = await cut(ctx, deps, entry)
  await deps.jobs.kill(containerFolder(entry.uid, 'main'), 'dump')
  assert.equal(await watchPages(deps, fenced), 'lost')
  await giveUp(entry, 'thaw')
  await assertUntouched(entry)
})

for (const afterMs of [1, 30, 80, 150, 250]) {
  test(`an agent killed ${afterMs} ms after the dump began leaves a pod that its successor brings back`, async () => {
    const entry = await newEntry('one')
    const [port = 0] = await deps.places.freePorts(1)
    const containers = entry.containers.map((container) => ({ ...container, dumpPort: port }))
    const dumping: LiveEntry = { ...entry, containers, step: 'dumping' }
    await deps.journal.write(dumping)
    await deps.fence.claim(entry.cgroup, entry.uid)
    const own = containerFolder(entry.uid, 'main')
    const argv = dumpCommand(entry.containers[0]?.id ?? '', own, port)
    await deps.jobs.start({ folder: own, name: 'dump', argv, onNode: true, statusFile: statusFile(own) })
    await delay(afterMs)
    await unwind(ctx, deps, dumping)
    const { failure, step } = deps.journal.read(entry.uid) ?? {}
    assert.deepEqual([step, failure?.reason], ['failed', 'AgentRestarted'])
    await assertUntouched(entry)
    await deps.journal.remove(entry.uid)
  })
}

test("a dump that CRIU refuses says so, in CRIU's own words", async () => {
  const entry = await newEntry('one')
  // A page server cannot listen where somebody does already.
  const refused = cut(ctx, { ...deps, places: { ...deps.places, freePorts: () => Promise.resolve([10_250]) } }, entry)
  await assert.rejects(refused, (error: { reason: string; message: string; criuLog: string[] }) => {
    assert.equal(error.reason, 'CheckpointFailed')
    assert.match(error.message, /container main ended with 1: .*criu/s)
    assert.ok(
      error.criuLog.some((line) => line.includes('Error (')),
      JSON.stringify(error),
    )
    return true
  })
  await unwind(ctx, deps, deps.journal.read(entry.uid) ?? entry)
  await assertUntouched(entry)
})

test('a pod that is released by kill executes nothing more', async () => {
  const entry = await newEntry('two')
  await cut(ctx, deps, entry)
  const stopped = await last('two')
  await giveUp(entry, 'kill')
  // Kubelet starts the containers anew: the old ones are asked for their last words.
  const path = `/api/v1/namespaces/${NAMESPACE}/pods/two/log`
  await eventually(
    'the containers are new ones',
    async () => {
      const { status } = await client.get(PODS, NAMESPACE, 'two')
      return status?.containerStatuses?.every(({ restartCount }) => restartCount === 1)
    },
    20_000,
  )
  const query = { container: 'main', tailLines: 1, previous: true }
  assert.equal(Number(await client.request({ method: 'GET', path, query })), stopped)
  assert.equal(existsSync(join(ctx.hostRoot, '/run/podferry/live', entry.uid)), false)
})
