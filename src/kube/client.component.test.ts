/** What only a real API server can prove. Runs where PODFERRY_TEST_KUBECONFIG leads to one, as `npm run test:component` arranges. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { createClient, type KubeClient } from './client.ts'
import { type Connection, inClusterConnection } from './connection.ts'
import { startElection } from './election.ts'
import { isAlreadyExists, isConflict, isExpired, isNotFound, KubeError } from './error.ts'
import { createEventRecorder, events } from './events.ts'
import { createInformer } from './informer.ts'
import { kubeconfigConnection } from './kubeconfig.ts'
import { leases } from './lease.ts'
import type { KubeObject, Resource } from './resource.ts'
import { commitStatus, updateStatus } from './status.ts'
import { type ConfigMap, configMap, configMaps } from './testing/config-map.ts'
import { silentLog } from './testing/silent-log.ts'
import { until } from './testing/until.ts'

interface Pod extends KubeObject {
  spec: { schedulerName: string; containers: { name: string; image: string }[] }
  status?: { conditions?: { type: string; status: string; lastTransitionTime: string }[] }
}

const namespaces: Resource = { group: '', version: 'v1', plural: 'namespaces', namespaced: false }
const pods: Resource<Pod> = { group: '', version: 'v1', plural: 'pods', namespaced: true }
const kubeconfig = process.env.PODFERRY_TEST_KUBECONFIG
const namespace = `podferry-kube-${process.pid}`
/** A ConfigMap in another namespace, whose changes give bookmarks a newer version to name. */
const elsewhere = namespace

const named = (name: string, data: Record<string, string> = {}): ConfigMap => {
  return { ...configMap(name, data), metadata: { namespace, name } }
}

async function isReachable(connection: Connection): Promise<boolean> {
  const client = createClient({ connection, role: 'test' })
  return client.request({ method: 'GET', path: '/version', timeoutMs: 2_000 }).then(
    () => true,
    () => false,
  )
}

const connection = kubeconfig === undefined ? undefined : await kubeconfigConnection({ kubeconfig })
const skip =
  connection === undefined
    ? 'PODFERRY_TEST_KUBECONFIG is not set'
    : !(await isReachable(connection)) && `no API server at ${connection.server.origin} in this network namespace`

describe('client at a real API server', { skip }, () => {
  let client: KubeClient

  before(async () => {
    assert.ok(connection)
    client = createClient({ connection, role: 'test' })
    await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  })

  after(async () => {
    await client.delete(namespaces, undefined, namespace)
    await client.delete(configMaps, 'default', elsewhere).catch(() => {})
    client.close()
  })

  it('creates, reads, replaces, lists by pages and deletes', async () => {
    const made = await client.create(configMaps, named('crud', { a: '1' }))
    await assert.rejects(client.create(configMaps, named('crud')), isAlreadyExists)
    const replaced = await client.replace(configMaps, { ...made, data: { a: '2' } })
    await assert.rejects(client.replace(configMaps, made), isConflict)
    assert.deepEqual((await client.get(configMaps, namespace, 'crud')).data, replaced.data)
    await client.create(configMaps, { ...named(''), metadata: { namespace, generateName: 'crud-' } })
    const first = await client.list(configMaps, { namespace, limit: 1 })
    assert.deepEqual([first.items[0]?.kind, first.items[0]?.apiVersion], ['ConfigMap', 'v1'])
    assert.equal((await client.list(configMaps, { namespace, limit: 1, continue: first.continue })).items.length, 1)
    await client.delete(configMaps, namespace, 'crud')
    await assert.rejects(client.get(configMaps, namespace, 'crud'), isNotFound)
  })

  it('patches by merge, by JSON patch and by server-side apply, where fields have owners', async () => {
    await client.patch(configMaps, namespace, 'applied', { type: 'apply', body: named('applied', { x: 'ours' }) })
    const theirs = { type: 'apply', body: named('applied', { x: 'theirs' }) } as const
    const other = { fieldManager: 'somebody-else' }
    await assert.rejects(client.patch(configMaps, namespace, 'applied', theirs, other), (error: unknown) => {
      assert.ok(isConflict(error))
      assert.match(error.message, /podferry-test/)
      assert.deepEqual(
        error.causes.map(({ field }) => field),
        ['.data.x'],
      )
      return true
    })
    const forced = await client.patch(configMaps, namespace, 'applied', { ...theirs, force: true }, other)
    assert.equal(forced.data?.x, 'theirs')
    await client.patch(configMaps, namespace, 'applied', { type: 'merge', body: { data: { y: '1' } } })
    const operations = [
      { op: 'test', path: '/data/y', value: '2' },
      { op: 'remove', path: '/data/y' },
    ] as const
    await assert.rejects(client.patch(configMaps, namespace, 'applied', { type: 'json', operations }), { status: 422 })
  })

  it('deletes only the very object in the very version asked for, and waits for finalizers', async () => {
    const object = named('guarded')
    const metadata = { ...object.metadata, finalizers: ['podferry.dev/test'] }
    const made = await client.create(configMaps, { ...object, metadata })
    const { uid = '', resourceVersion = '' } = made.metadata
    const attempt = (preconditions: object) => client.delete(configMaps, namespace, 'guarded', { preconditions })
    await assert.rejects(attempt({ uid: '00000000-0000-0000-0000-000000000000' }), isConflict)
    await assert.rejects(attempt({ uid, resourceVersion: '1' }), isConflict)
    await attempt({ uid, resourceVersion })
    assert.ok((await client.get(configMaps, namespace, 'guarded')).metadata.deletionTimestamp)
    await client.patch(configMaps, namespace, 'guarded', { type: 'merge', body: { metadata: { finalizers: null } } })
    await assert.rejects(client.get(configMaps, namespace, 'guarded'), isNotFound)
  })

  it('names the field that is wrong and the right that is missing', async () => {
    await assert.rejects(client.create(configMaps, named('Not_A_Name')), (error: unknown) => {
      assert.ok(error instanceof KubeError)
      assert.deepEqual([error.status, error.reason, error.causes[0]?.field], [422, 'Invalid', 'metadata.name'])
      return true
    })
    assert.ok(kubeconfig)
    const nobody = await kubeconfigConnection({ kubeconfig, impersonate: 'nobody' })
    const powerless = createClient({ connection: nobody, role: 'test' })
    await assert.rejects(powerless.list(configMaps), {
      status: 403,
      reason: 'Forbidden',
      message: /"nobody".*grant it/,
    })
    powerless.close()
  })

  it('watches from a version on and hears bookmarks', async (test) => {
    const { resourceVersion } = await client.list(configMaps, { namespace })
    const told: string[] = []
    const touch = async () => {
      await client.create(configMaps, { ...configMap(elsewhere), metadata: { namespace: 'default', name: elsewhere } })
      await client.delete(configMaps, 'default', elsewhere)
    }
    // A bookmark comes two seconds before the end, but only when it has a newer version to name.
    const touching = setInterval(() => void touch().catch(() => {}), 500)
    test.after(() => clearInterval(touching))
    const watch = client.watch(configMaps, { namespace, resourceVersion, timeoutSeconds: 10 })
    await client.create(configMaps, named('watched'))
    await client.delete(configMaps, namespace, 'watched')
    for await (const { type, object } of watch) {
      if (type !== 'BOOKMARK' && object.metadata.name !== 'watched') continue
      told.push(type)
      assert.match(object.metadata.resourceVersion ?? '', /^\d+$/)
      if (type === 'BOOKMARK') break
    }
    assert.deepEqual(told, ['ADDED', 'DELETED', 'BOOKMARK'])
  })

  it('is told when a list would go on from a version that is too old', async (test) => {
    // What the server puts into its continue tokens (apiserver/pkg/storage/continue.go).
    const token = JSON.stringify({ v: 'meta.k8s.io/v1', rv: 2, start: 'a\u0000' })
    const options = { namespace, limit: 1, continue: Buffer.from(token).toString('base64url') }
    const outcome = await client.list(configMaps, options).catch((error: unknown) => error)
    if (!(outcome instanceof Error)) return test.skip('the history is compacted only some minutes after the start')
    assert.ok(isExpired(outcome), outcome.message)
    assert.equal(outcome.reason, 'Expired')
  })

  it('keeps an informer current', async () => {
    const informer = createInformer({ client, resource: configMaps, log: silentLog, namespace, pageSize: 1 })
    informer.start()
    await informer.synced()
    await client.create(configMaps, named('informed'))
    await until('it is added', () => informer.get(namespace, 'informed') !== undefined)
    assert.equal(informer.get(namespace, 'informed')?.metadata.managedFields, undefined)
    await client.patch(configMaps, namespace, 'informed', { type: 'merge', body: { data: { z: '1' } } })
    await until('it is updated', () => informer.get(namespace, 'informed')?.data?.z === '1')
    await client.delete(configMaps, namespace, 'informed')
    await until('it is gone', () => informer.get(namespace, 'informed') === undefined)
    await informer.close()
  })

  it('commits a status once, and merges one into whatever is newest', async () => {
    const spec = { schedulerName: 'nobody', containers: [{ name: 'c', image: 'podferry.invalid/none' }] }
    const observed = await client.create(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: 'p' },
      spec,
    })
    const condition = (type: string) => (pod: Pod) => {
      const known = pod.status?.conditions ?? []
      if (known.some((entry) => entry.type === type)) return pod
      const conditions = [...known, { type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }]
      return { ...pod, status: { ...pod.status, conditions } }
    }
    await commitStatus(client, pods, observed, condition('First'))
    await assert.rejects(commitStatus(client, pods, observed, condition('Second')), isConflict)
    const both = await updateStatus(client, pods, namespace, 'p', condition('Second'))
    assert.deepEqual(
      both.status?.conditions?.map(({ type }) => type),
      ['First', 'Second'],
    )
    // What the server stored compares equal to what would be written: no second write.
    const again = await updateStatus(client, pods, namespace, 'p', condition('Second'))
    assert.equal(again.metadata.resourceVersion, both.metadata.resourceVersion)
    await client.delete(pods, namespace, 'p', { gracePeriodSeconds: 0 })
  })

  it('elects one leader, then the other', async () => {
    const led: string[] = []
    const stand = (identity: string) =>
      startElection({
        client,
        namespace,
        name: 'elected',
        identity,
        log: silentLog,
        timing: { durationMs: 5_000, renewDeadlineMs: 3_000, retryMs: 100 },
        onAcquired: () => led.push(identity),
        onLost: () => assert.fail(`${identity} lost the lease`),
      })
    const first = stand('first')
    await until('the first leads', () => first.isLeader())
    const second = stand('second')
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.deepEqual([first.isLeader(), second.isLeader()], [true, false])
    await first.stop()
    await until('the second leads', () => second.isLeader(), 4_000)
    await second.stop()
    assert.deepEqual(led, ['first', 'second'])
    assert.equal((await client.get(leases, namespace, 'elected')).spec?.holderIdentity ?? '', '')
  })

  it('records events with a count', async () => {
    const about = await client.create(configMaps, named('eventful'))
    const recorder = createEventRecorder({ client, component: 'podferry-test', instance: 'here', log: silentLog })
    recorder.event(about, 'Warning', 'Tried', 'once or more')
    await recorder.flush()
    recorder.event(about, 'Warning', 'Tried', 'once or more')
    await recorder.flush()
    const fieldSelector = `involvedObject.uid=${about.metadata.uid}`
    const written = await client.list(events, { namespace, fieldSelector })
    assert.deepEqual(
      written.items.map(({ count, reason, type }) => [count, reason, type]),
      [[2, 'Tried', 'Warning']],
    )
  })

  it('is let in by a service account token and takes up its rotation', async (test) => {
    assert.ok(connection && kubeconfig)
    const directory = await mkdtemp(join(tmpdir(), 'podferry-token-'))
    test.after(() => rm(directory, { recursive: true }))
    const config = parse(await readFile(kubeconfig, 'utf8'))
    const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`
    await until('the account exists', () =>
      client.request({ method: 'GET', path: account }).then(
        () => true,
        () => false,
      ),
    )
    const answer = await client.request({ method: 'POST', path: `${account}/token`, body: { spec: {} } })
    await writeFile(
      join(directory, 'ca.crt'),
      Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64'),
    )
    await writeFile(join(directory, 'token'), 'not a token')
    const env = { KUBERNETES_SERVICE_HOST: connection.server.hostname, KUBERNETES_SERVICE_PORT: connection.server.port }
    const inCluster = createClient({ connection: await inClusterConnection({ directory, env }), role: 'test' })
    await assert.rejects(inCluster.list(configMaps, { namespace }), { status: 401, reason: 'Unauthorized' })
    await writeFile(join(directory, 'token'), JSON.parse(answer).status.token)
    await assert.rejects(inCluster.list(configMaps, { namespace }), { reason: 'Forbidden', message: /serviceaccount:/ })
    inCluster.close()
  })
})
