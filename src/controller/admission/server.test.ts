import assert from 'node:assert/strict'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { withCondition } from '../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { HASH_LABEL, PROBED_ANNOTATION } from '../../api/names.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import { createClient } from '../../kube/client.ts'
import { startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import { silentLog } from '../../kube/testing/silent-log.ts'
import { issueServerCertificate, makeAuthority } from '../certificates/issue.ts'
import { manifestOf } from '../manifest.ts'
import { aMigration, aPod, START } from '../testing/builders.ts'
import { SERVICE_NAMES } from './configuration.ts'
import { startAdmissionServer } from './server.ts'

const HOUR = 3600_000
const PATH = '/replacements/secret'
const OWNER = { kind: 'ReplicaSet' as const, name: 'web-abc', uid: 'owner-uid', hash: 'abc' }

function waiting(name: string, podUID: string): Migration {
  const status = {
    mode: 'Live' as const,
    source: { node: 'node-1', podUID, owner: OWNER, releasedAt: START },
    destination: { node: 'node-2', podName: `counter-${name}` },
  }
  const accepted = { type: 'Accepted', status: 'True', reason: 'Test', message: '' } as const
  const migration = aMigration({}, withCondition(status, accepted, START))
  return { ...migration, metadata: { ...migration.metadata, name, uid: `${name}${name}-uid` } }
}

const review = (uid: string, dryRun = false) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid,
    operation: 'CREATE',
    namespace: 'default',
    dryRun,
    object: {
      metadata: {
        generateName: 'web-abc-',
        labels: { app: 'web', [HASH_LABEL]: 'abc' },
        ownerReferences: [{ uid: OWNER.uid, controller: true }],
      },
      spec: {},
    },
  },
})

async function setUp() {
  const api = await startFakeApiServer()
  const client = createClient({ connection: api.connection(), role: 'test' })
  const { uid: podUID } = api.seed(PODS, aPod()).metadata
  const authority = await makeAuthority(new Date(), HOUR)
  const identity = await issueServerCertificate(authority, SERVICE_NAMES, HOUR, new Date())
  const server = await startAdmissionServer({
    client,
    log: silentLog,
    identity,
    path: PATH,
    mayAct: () => true,
    port: 0,
  })
  const post = (path: string, body: object) =>
    new Promise<{ code: number | undefined; allowed?: boolean; patch: { path: string; value: unknown }[] | undefined }>(
      (resolve, reject) => {
        // As the API server calls: by the Service's name, trusting the configuration's authority and no other.
        const request = https.request(
          {
            host: '127.0.0.1',
            port: server.port,
            servername: SERVICE_NAMES[0],
            ca: authority.cert,
            path,
            method: 'POST',
          },
          async (answer) => {
            const said = JSON.parse(await text(answer))
            const patch = said.response?.patch
            resolve({
              code: answer.statusCode,
              ...(said.response?.allowed === false ? { allowed: false } : {}),
              patch: patch === undefined ? undefined : JSON.parse(Buffer.from(patch, 'base64').toString()),
            })
          },
        )
        request.on('error', reject)
        request.end(JSON.stringify(body))
      },
    )
  return { api, client, server, post, podUID }
}

test('of three creations at once two become the destinations of two Migrations, and the third stays as it is', async () => {
  const { api, client, server, post, podUID } = await setUp()
  await using _ = api
  api.seed(MIGRATIONS, waiting('a', podUID))
  api.seed(MIGRATIONS, waiting('b', podUID))
  const answers = await Promise.all(['1', '2', '3'].map((uid) => post(`${PATH}?timeout=2s`, review(uid))))
  const names = answers.map(({ patch }) => patch?.find(({ path }) => path === '/metadata/name')?.value)
  assert.equal(names.filter((name) => name === undefined).length, 1)
  assert.equal(new Set(names).size, 3, `each its own name: ${names}`)
  const claims = api.objects(MIGRATIONS).map(({ status }) => status?.destination?.claim)
  assert.equal(new Set(claims).size, 2)
  assert.ok(claims.every((claim) => claim !== undefined))
  await server.close()
  client.close()
})

test('a dry run is marked and claims nothing; who does not know the path learns nothing', async () => {
  const { api, client, server, post, podUID } = await setUp()
  await using _ = api
  api.seed(MIGRATIONS, waiting('a', podUID))
  const dry = await post(PATH, review('1', true))
  assert.match(JSON.stringify(dry.patch), new RegExp(PROBED_ANNOTATION))
  assert.equal(api.objects(MIGRATIONS)[0]?.status?.destination?.claim, undefined)
  assert.deepEqual(await post('/replacements/guess', review('2')), { code: 404, patch: undefined })
  assert.equal((await post(PATH, { request: {} })).code, 500)
  await server.close()
  client.close()
})

const SET = { kind: 'StatefulSet' as const, name: 'web', uid: 'set-uid', hash: 'web-7' }

/** After the commit of `web-0`. @param delivered whether its state is there */
function committed(podUID: string, delivered: 'True' | 'Unknown'): Migration {
  const source = { node: 'node-1', podUID, recreated: true as const, owner: SET, manifest: manifestOf(aPod()) }
  const status = (['Accepted', 'Committed'] as const).reduce<MigrationStatus>(
    (next, type) => withCondition(next, { type, status: 'True', reason: 'Test', message: '' }, START),
    { mode: 'Image', source, destination: { node: 'node-2', podName: 'web-0' } },
  )
  const arrived = { type: 'Delivered', status: delivered, reason: 'Test', message: '' } as const
  return aMigration({ podName: 'web-0' }, withCondition(status, arrived, START))
}

const successor = (uid: string, name: string) => {
  const { request, ...rest } = review(uid)
  const metadata = { name, ownerReferences: [{ uid: SET.uid, controller: true }] }
  return { ...rest, request: { ...request, object: { metadata, spec: {} } } }
}

test('of a StatefulSet only the pod on the move is taken, as often as it takes, and none before its state is there', async () => {
  const { api, client, server, post, podUID } = await setUp()
  await using _ = api
  const { metadata } = api.seed(MIGRATIONS, committed(podUID, 'Unknown'))
  assert.deepEqual(await post(PATH, successor('1', 'web-0')), { code: 200, allowed: false, patch: undefined })
  assert.deepEqual(await post(PATH, successor('2', 'web-1')), { code: 200, patch: undefined })
  const stored = await client.get(MIGRATIONS, 'default', metadata.name)
  await client.replaceStatus(MIGRATIONS, { ...stored, status: committed(podUID, 'True').status ?? {} })
  for (const uid of ['3', '4']) {
    const { patch } = await post(PATH, successor(uid, 'web-0'))
    assert.match(JSON.stringify(patch), /"nodeName":"node-2"/)
    assert.equal(api.objects(MIGRATIONS)[0]?.status?.destination?.claim, uid)
  }
  await server.close()
  client.close()
})
