/** A move in the lab without controller and source agent: a test plays both, and only the destination side is the real one. */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { inMachine, runningInit } from '../../../../lab/machine.ts'
import { connect } from '../../../../lab/scenario/connect.ts'
import { eventually } from '../../../../lab/scenario/eventually.ts'
import { type ConditionType, truth, withCondition } from '../../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../../api/migration.ts'
import { MIGRATION_UID_LABEL } from '../../../api/names.ts'
import type { Pod } from '../../../api/pod.ts'
import { MIGRATIONS, PODS } from '../../../api/resources.ts'
import { makeAuthority } from '../../../controller/certificates/issue.ts'
import { containersOf, destinationPod } from '../../../controller/pods.ts'
import { createClient, type KubeClient } from '../../../kube/client.ts'
import { updateStatus } from '../../../kube/status.ts'
import { startFakeApiServer } from '../../../kube/testing/fake-api-server.ts'
import { RegistryClient } from '../../../oci/registry-client.ts'
import { REGISTRY_URL } from '../../../oci/repository.ts'
import { install } from '../../install/install.ts'
import { sendArchive } from '../../peer/client.ts'
import { fixedIdentity } from '../../peer/identity.ts'
import { startPeerServer } from '../../peer/server.ts'
import { makeIdentity } from '../../peer/testing/identities.ts'
import { Uploads } from '../../peer/uploads.ts'
import { createContainerdImages } from '../../runtime/containerd-images.ts'
import { createCriClient } from '../../runtime/cri.ts'
import { createStore } from '../arrival.ts'
import { createDestinationHandler } from '../handler.ts'
import { createRestoreLogs } from '../restore-log.ts'
import { checkRoom } from '../room.ts'

const SOURCE = 'node-1'
const DESTINATION = 'node-2'
const REGISTRY_ROOT = '/var/lib/podferry/registry'
const now = () => new Date().toISOString()

/** Migrations in memory, everything else in the lab: a controller that is installed there would have its own opinion. */
function split(migrations: KubeClient, rest: KubeClient): KubeClient {
  const pick = (resource: { plural: string }) => (resource.plural === MIGRATIONS.plural ? migrations : rest)
  return {
    ...rest,
    get: (resource, ...others) => pick(resource).get(resource, ...others),
    list: (resource, ...others) => pick(resource).list(resource, ...others),
    create: (resource, ...others) => pick(resource).create(resource, ...others),
    replaceStatus: (resource, ...others) => pick(resource).replaceStatus(resource, ...others),
  }
}

/** The registry of node 2: podferry's own where it is installed, else one that ends with the test. */
async function openRegistry(hostRoot: string) {
  const registry = new RegistryClient({ url: REGISTRY_URL })
  const answers = () =>
    registry.ping().then(
      () => true,
      () => false,
    )
  if (await answers()) return { registry, close: () => {} }
  const settings = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: REGISTRY_ROOT }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:5577' },
  }
  await mkdir(join(hostRoot, REGISTRY_ROOT), { recursive: true })
  await writeFile(join(hostRoot, '/run/podferry-test-registry.yml'), JSON.stringify(settings))
  // nsenter forks to enter the node's processes: killing it must take the registry along, or the port would stay taken.
  const dying = ['/usr/bin/setpriv', '--pdeathsig', 'KILL']
  const program = [...dying, '/usr/bin/docker-registry', 'serve', '/run/podferry-test-registry.yml']
  const [command = '', ...args] = await inMachine(DESTINATION, program)
  const child = spawn(command, args, { stdio: 'ignore' })
  await eventually('the registry answers', answers)
  return { registry, close: () => child.kill('SIGKILL') }
}

/** @returns undefined when this process is not in the network of a lab's node 2 */
export async function openLab() {
  const real = await connect().catch(() => undefined)
  const isThere = await real?.list(PODS, { timeoutMs: 2000 }).catch(() => undefined)
  if (!real || !isThere) return undefined
  const [sourceRoot, hostRoot] = (await Promise.all(
    ([SOURCE, DESTINATION] as const).map(async (node) => `/proc/${await runningInit(node)}/root`),
  )) as [string, string]
  // CRIU's settings must be the same for dump and restore; where an agent runs, it has put them there already.
  for (const root of [sourceRoot, hostRoot]) await install(root)
  const { registry, close: closeRegistry } = await openRegistry(hostRoot)
  const api = await startFakeApiServer()
  const client = split(createClient({ connection: api.connection(), role: 'test' }), real)
  const socket = join(hostRoot, 'run/containerd/containerd.sock')
  const [cri, images] = [createCriClient(socket), createContainerdImages(socket)]
  const places = { hostRoot, runtimeRoot: '/var/lib/containerd', registryRoot: REGISTRY_ROOT }
  const uploads = new Uploads()
  const log = pino({ level: process.env.LOG_LEVEL ?? 'silent' })
  const wrapper = () => ({ able: false, message: 'it is not tried here' }) as const
  const deps = { cri, images, registry, places, uploads, restoreLogs: createRestoreLogs(hostRoot), wrapper }
  const handler = createDestinationHandler(
    { nodeName: DESTINATION, client, log, now: () => new Date(), hostRoot },
    deps,
  )
  const authority = await makeAuthority(new Date(), 24 * 3600_000)
  const server = await startPeerServer({
    identity: fixedIdentity(await makeIdentity({ authority, node: DESTINATION })),
    ...{ client, log, uploads, nodeName: DESTINATION, address: '127.0.0.1', port: 0 },
    makeRoom: (bytes) => checkRoom(places, bytes),
    store: createStore(cri),
    onStored: () => {},
  })
  const sender = fixedIdentity(await makeIdentity({ authority, node: SOURCE }))
  const folder = await mkdtemp(join(tmpdir(), 'podferry-lab-'))

  const fresh = (migration: Migration) => client.get(MIGRATIONS, migration.metadata.namespace, migration.metadata.name)
  const change = (migration: Migration, mutate: (status: MigrationStatus) => MigrationStatus) =>
    updateStatus(client, MIGRATIONS, migration.metadata.namespace, migration.metadata.name, (stored) => ({
      ...stored,
      status: mutate(stored.status ?? {}),
    }))

  return {
    ...{ client, handler, cri, images, registry, folder, sourceRoot, hostRoot, deps },
    fresh,
    change,

    /** An accepted Migration of a running pod. */
    async accept(source: Pod): Promise<Migration> {
      const migration = await client.create(MIGRATIONS, {
        apiVersion: 'podferry.dev/v1alpha1',
        kind: 'Migration',
        metadata: { name: `move-${randomBytes(4).toString('hex')}`, namespace: 'default' },
        spec: { podName: source.metadata.name, mode: 'Image', connections: 'Close', timeoutSeconds: 600 },
      })
      return await change(migration, (status) =>
        withCondition(
          {
            ...status,
            source: { node: SOURCE, podUID: source.metadata.uid },
            destination: { node: DESTINATION },
            containers: containersOf(source),
            timings: { acceptedAt: now() },
          },
          { type: 'Accepted', status: 'True', reason: 'Test', message: '' },
          now(),
        ),
      )
    },

    decide: (migration: Migration, type: ConditionType, status: 'True' | 'False') =>
      change(migration, (before) => withCondition(before, { type, status, reason: 'Test', message: '' }, now())),

    /** Lets the destination side work until it has come to something. */
    async until(migration: Migration, is: (status: MigrationStatus) => boolean, seconds = 60): Promise<Migration> {
      for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
        const current = await fresh(migration)
        if (current.status && is(current.status)) return current
        const again = await handler.reconcile(current)
        await delay(Math.min(again ?? 50, 200))
      }
      const { status } = await fresh(migration)
      throw new Error(`waited in vain; the status is ${JSON.stringify(status, undefined, 1)}`)
    },

    /** @returns the archive's path as this process sees it */
    async checkpoint({ metadata: { namespace, name } }: Pod): Promise<string> {
      const path = `/api/v1/nodes/${SOURCE}/proxy/checkpoint/${namespace}/${name}/main`
      const { items } = JSON.parse(await client.request({ method: 'POST', path, timeoutMs: 120_000 }))
      return join(sourceRoot, items[0])
    },

    send: (migration: Migration, archivePath: string) =>
      sendArchive({
        identity: sender,
        node: { name: DESTINATION, address: '127.0.0.1' },
        port: server.port,
        namespace: migration.metadata.namespace ?? '',
        migrationName: migration.metadata.name,
        migrationUID: migration.metadata.uid,
        container: 'main',
        archivePath,
        signal: AbortSignal.timeout(60_000),
      }),

    /** The controller's part after the commit. */
    async createDestination(migration: Migration, source: Pod): Promise<Pod> {
      const pod = await client.create(PODS, destinationPod(await fresh(migration), source) as Pod)
      await change(migration, (status) => ({
        ...status,
        destination: { node: DESTINATION, podName: pod.metadata.name, podUID: pod.metadata.uid },
      }))
      return pod
    },

    isSettled: (type: ConditionType) => (status: MigrationStatus) => truth(status, type) !== 'Unknown',
    logOf: (pod: Pod) =>
      client.request({
        method: 'GET',
        path: `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}/log`,
        query: { container: 'main' },
      }),
    sandboxesOf: (migration: Migration) => cri.sandboxes({ [MIGRATION_UID_LABEL]: migration.metadata.uid }),

    async [Symbol.asyncDispose]() {
      await server.close()
      cri.close()
      images.close()
      real.close()
      closeRegistry()
      await api[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
