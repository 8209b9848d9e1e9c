/** The source side against a real kubelet, containerd and CRIU: needs the lab, and to run inside its network. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { runningInit } from '../../../lab/machine.ts'
import { nodeAddress } from '../../../lab/places.ts'
import { connect } from '../../../lab/scenario/connect.ts'
import { eventually } from '../../../lab/scenario/eventually.ts'
import { counterPod, runPod } from '../../../lab/scenario/pods.ts'
import type { Pod } from '../../api/pod.ts'
import { PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import type { AgentContext } from '../context.ts'
import { createFence, type Fence } from '../fence/fence.ts'
import { install } from '../install/install.ts'
import { type Journal, openJournal } from '../journal.ts'
import { createKubelet, type Kubelet } from '../kubelet.ts'
import { createContainerdTasks } from '../runtime/containerd-tasks.ts'
import { archivesOf, checkpointFolder } from './archives.ts'
import { dump } from './checkpoint.ts'
import type { SourceDependencies } from './dependencies.ts'
import { dumpEnded } from './dump-processes.ts'
import { type SourceEntry, sourceEntrySchema } from './entry.ts'
import { dumpTarget } from './preconditions.ts'
import { release } from './release.ts'
import { unwind } from './unwind.ts'

const NODE = 'node-1'
const NAMESPACE = `podferry-source-test-${process.pid}`
const KUBELET_ROOT = '/var/lib/kubelet'
const log = pino({ level: process.env.PODFERRY_LOG_LEVEL ?? 'silent' })

let client: KubeClient
let folder: string
let hostRoot: string
let ctx: AgentContext
let fence: Fence
let kubelet: Kubelet
let journal: Journal<SourceEntry>
let deps: SourceDependencies
let pod: Pod

const api = (method: 'POST' | 'DELETE', path: string, body?: object) => client.request({ method, path, body })

before(async () => {
  client = await connect()
  folder = await mkdtemp(join(tmpdir(), 'podferry-source-'))
  hostRoot = `/proc/${await runningInit(NODE)}/root`
  await api('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  // The least an agent needs at the kubelet, and nothing else.
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const account = { kind: 'ServiceAccount', name: 'dumper', namespace: NAMESPACE }
  const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NAMESPACE }
  const type = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: NAMESPACE } }
  const rules = [{ apiGroups: [''], resources: ['nodes/checkpoint'], verbs: ['create'] }]
  const core = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`
  await api('POST', core, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'dumper' } })
  await api('POST', `${rbac}/clusterroles`, { ...type, kind: 'ClusterRole', rules })
  await api('POST', `${rbac}/clusterrolebindings`, {
    ...type,
    kind: 'ClusterRoleBinding',
    roleRef: role,
    subjects: [account],
  })
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } }
  const { status } = JSON.parse(await api('POST', `${core}/dumper/token`, request)) as { status: { token: string } }
  await writeFile(join(folder, 'token'), status.token, { mode: 0o600 })
  const trusted = { method: 'GET', path: '/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt' } as const
  const { data } = JSON.parse(await client.request(trusted)) as { data: Record<string, string> }
  await writeFile(join(folder, 'ca.crt'), data['ca.crt'] ?? '')

  ctx = { nodeName: NODE, client, log, hostRoot, now: () => new Date() }
  fence = createFence(hostRoot)
  kubelet = createKubelet({
    nodeName: NODE,
    address: nodeAddress(NODE),
    tokenFile: join(folder, 'token'),
    caFile: join(folder, 'ca.crt'),
    log,
  })
  journal = await openJournal({ folder: join(folder, 'journal'), schema: sourceEntrySchema, log })
  const tasks = createContainerdTasks(join(hostRoot, 'run/containerd/containerd.sock'))
  deps = {
    journal,
    fence,
    kubelet,
    kubeletRoot: KUBELET_ROOT,
    preflight: () => Promise.resolve(),
    install: () => install(hostRoot),
    dumpEnded: (id) => dumpEnded(hostRoot, id),
    resumeContainer: (id) => tasks.resume(id),
    send: () => Promise.reject(new Error('nothing is sent here')),
    wake: () => undefined,
    recorder: { event: () => undefined, flush: async () => undefined },
  }
  await install(hostRoot)
  pod = await runPod(client, counterPod({ name: 'counter', node: NODE, namespace: NAMESPACE, intervalMs: 20 }))
})

after(async () => {
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  for (const path of ['clusterroles', 'clusterrolebindings']) await api('DELETE', `${rbac}/${path}/${NAMESPACE}`)
  await api('DELETE', `/api/v1/namespaces/${NAMESPACE}`)
  await rm(folder, { recursive: true })
  // The runtime connection of the dependencies keeps the process alive otherwise.
  setImmediate(() => process.exit())
})

async function numbers(): Promise<number[]> {
  const path = `/api/v1/namespaces/${NAMESPACE}/pods/counter/log`
  const text = await client.request({ method: 'GET', path, query: { tailLines: 200 } })
  return text.trim().split('\n').map(Number)
}
const last = async () => (await numbers()).at(-1) ?? 0

async function newEntry(uid: string): Promise<SourceEntry> {
  const migration = {
    apiVersion: '',
    kind: '',
    metadata: { name: 'm', namespace: NAMESPACE, uid, resourceVersion: '', creationTimestamp: '' },
    spec: { podName: 'counter', mode: 'Image', connections: 'Auto', timeoutSeconds: 60 },
    status: { source: { node: NODE, podUID: pod.metadata.uid } },
  } as const
  const target = dumpTarget(migration, NODE, await client.get(PODS, NAMESPACE, 'counter'))
  const cgroup = await fence.find(target.pod.uid)
  assert.ok(cgroup)
  const named = { namespace: NAMESPACE, pod: 'counter', container: target.container.name }
  const foreignArchives = await archivesOf(hostRoot, checkpointFolder(KUBELET_ROOT), named)
  const entry = { ...target, uid, namespace: NAMESPACE, name: 'm', cgroup, step: 'dumping', foreignArchives } as const
  const full = { ...entry, startedAt: new Date().toISOString(), archives: [] }
  await journal.write(full)
  return full
}

/** The pod counts on without a gap, in the process it always had, and nothing of the dump is left on the node. */
async function assertUntouched(entry: SourceEntry, stopped: number): Promise<void> {
  await eventually('the counter goes on', async () => (await last()) > stopped + 5, 20_000)
  const seen = await numbers()
  for (const [index, number] of seen.entries()) assert.equal(number, (seen[0] ?? 0) + index, 'missing or doubled')
  const now = await client.get(PODS, NAMESPACE, 'counter')
  assert.equal(now.status?.containerStatuses?.[0]?.restartCount, 0)
  assert.equal(await fence.state(entry.cgroup), 'thawed')
  assert.equal(await fence.claimant(entry.cgroup), undefined)
  const named = { namespace: NAMESPACE, pod: 'counter', container: entry.container.name }
  assert.deepEqual(await archivesOf(hostRoot, checkpointFolder(KUBELET_ROOT), named), [])
}

test('a dump ends fenced: the pod stands still until it is thawed, and then goes on by exactly one', async () => {
  const entry = await newEntry('aaaaaaaa-0000-4000-8000-000000000001')
  await dump(ctx, deps, entry, 60)
  const fenced = journal.read(entry.uid)
  assert.equal(fenced?.step, 'fenced', JSON.stringify(fenced))
  const archive = join(hostRoot, fenced?.archives[0]?.path ?? '')
  assert.equal((await stat(archive)).mode & 0o777, 0o600)
  assert.equal((await stat(archive)).size, fenced?.archives[0]?.bytes)
  assert.equal(await fence.isFrozen(entry.cgroup), true)
  const stopped = await last()
  await delay(1_500)
  assert.equal(await last(), stopped, 'the fence holds')
  await release(ctx, deps, { migrationUID: entry.uid, podUID: entry.pod.uid, entry: fenced, by: 'thaw' })
  await assertUntouched(entry, stopped)
  assert.equal(existsSync(archive), false)
  assert.equal(journal.read(entry.uid), undefined)
})

test('an announcement that is withdrawn in time lets the pod run on; the dump counts as failed', async () => {
  const entry = await newEntry('aaaaaaaa-0000-4000-8000-000000000002')
  const dumped = dump(ctx, deps, entry, 60)
  await delay(20)
  assert.equal(await fence.withdraw(entry.cgroup, entry.uid), 'withdrawn')
  await dumped
  const failed = journal.read(entry.uid)
  assert.equal(failed?.step, 'failed')
  assert.equal(failed?.failure?.reason, 'FenceFailed')
  await assertUntouched(entry, await last())
})

for (const afterMs of [5, 60, 150, 300]) {
  test(`an agent killed ${afterMs} ms into the kubelet call leaves a pod that its successor brings back`, async () => {
    const entry = await newEntry(`aaaaaaaa-0000-4000-8000-${String(afterMs).padStart(12, '0')}`)
    await fence.announce(entry.cgroup, entry.uid)
    const killed = new AbortController()
    const request = { namespace: NAMESPACE, pod: 'counter', container: entry.container.name, timeoutSeconds: 60 }
    const asked = kubelet.checkpoint({ ...request, signal: killed.signal }).catch(() => undefined)
    await delay(afterMs)
    // What the kubelet sees of a kill -9: the connection is gone.
    killed.abort()
    await asked
    const stopped = await last()
    await delay(1_000)
    await unwind(ctx, deps, entry)
    const { failure, step } = journal.read(entry.uid) ?? {}
    assert.deepEqual([step, failure?.reason], ['failed', 'AgentRestarted'])
    await assertUntouched(entry, stopped)
    await journal.remove(entry.uid)
  })
}

test('a token that is not genuine is refused', async () => {
  const token = await readFile(join(folder, 'token'), 'utf8')
  const other = createKubelet({
    nodeName: NODE,
    address: nodeAddress(NODE),
    tokenFile: join(folder, 'token-2'),
    caFile: join(folder, 'ca.crt'),
    log,
  })
  await writeFile(join(folder, 'token-2'), `${token.slice(0, -5)}AAAAA`)
  const request = { namespace: NAMESPACE, pod: 'counter', container: 'main', timeoutSeconds: 60 }
  await assert.rejects(other.checkpoint(request), { reason: 'KubeletUnauthorized' })
})
