import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFinished } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import { aPod } from '../../controller/testing/builders.ts'
import { createClient } from '../../kube/client.ts'
import type { KubeObject, Resource } from '../../kube/resource.ts'
import { type FakeApiServer, startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import type { Session } from '../connection-options.ts'
import { UsageError } from '../exit-codes.ts'
import { selectorText } from '../pod-sets.ts'
import { type Captured, captureIo } from '../testing/capture.ts'
import { moved, refused } from '../testing/histories.ts'
import { migrate } from './migrate.ts'

const DEPLOYMENTS: Resource<KubeObject> = { group: 'apps', version: 'v1', plural: 'deployments', namespaced: true }

let server: FakeApiServer
let session: Session
let io: Captured
beforeEach(async () => {
  server = await startFakeApiServer()
  session = {
    client: createClient({ connection: server.connection(), role: 'cli' }),
    namespace: 'default',
    timeoutMs: undefined,
  }
  io = captureIo()
  const metadata = { name: 'web', namespace: 'default', uid: 'd', resourceVersion: '1', creationTimestamp: '' }
  const spec = { selector: { matchLabels: { app: 'web' } } }
  server.seed(DEPLOYMENTS, { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec } as KubeObject)
  for (const [name, nodeName, app] of [
    ['web-a', 'node-1', 'web'],
    ['web-b', 'node-2', 'web'],
    ['web-c', 'node-1', 'web'],
    ['other', 'node-1', 'other'],
  ] as const)
    server.seed(PODS, aPod({ nodeName }, { name, uid: name, labels: { app } }))
})
afterEach(() => server[Symbol.asyncDispose]())

const FLAGS = { timeout: '60s' }
const ask = (target: string | undefined, flags: Parameters<typeof migrate>[1]) =>
  migrate(target, { ...FLAGS, ...flags }, io, async () => session)
const asked = () => server.objects(MIGRATIONS).map(({ spec }) => spec.podName)

/** Plays the controller until so many have ended. @returns how many were open at the same time */
async function play(count: number, endOf: (migration: Migration) => Migration): Promise<number> {
  const client = createClient({ connection: server.connection(), role: 'test' })
  let most = 0
  for (let ended = 0; ended < count; await sleep(20)) {
    const open = server.objects(MIGRATIONS).filter(({ status }) => !isFinished(status))
    most = Math.max(most, open.length)
    const [first] = open
    // Only when the next had its chance to begin.
    if (!first || (open.length < 2 && ended < count - 2)) continue
    const { status } = endOf(first)
    if (status) await client.replaceStatus(MIGRATIONS, { ...first, status })
    ended++
  }
  client.close()
  return most
}

test('each pod of a Deployment gets its Migration, two at a time, and all are waited for', async () => {
  const [exitCode, most] = await Promise.all([ask('deployment/web', {}), play(3, moved)])
  assert.equal(exitCode, 0)
  assert.equal(most, 2)
  assert.deepEqual(asked().sort(), ['web-a', 'web-b', 'web-c'])
  assert.match(
    io.out(),
    /^pod default\/web-. moved .*\ndowntime 5.05s.*\n(.*\n)+3 of 3 pods moved, downtime 5.05s to 5.05s\n$/,
  )
})

test('one that is refused keeps none of the others, and the exit code tells of it', async () => {
  const endOf = (migration: Migration) => (migration.spec.podName === 'web-a' ? refused() : moved())
  const [exitCode] = await Promise.all([
    ask(undefined, { selector: 'app in (web, other)', parallel: '4' }),
    play(4, endOf),
  ])
  assert.equal(exitCode, 3)
  assert.match(io.err(), /SameNode/)
  assert.match(io.out(), /3 of 4 pods moved/)
})

test('pods leave a node, and those that are not on it stay; one that is at its goal already is left alone', async () => {
  await ask('deploy/web', { awayFrom: 'node-1', wait: false })
  assert.deepEqual(asked().sort(), ['web-a', 'web-c'])
  assert.ok(server.objects(MIGRATIONS).every(({ spec }) => spec.destinationNode === undefined))
  assert.equal(await ask('deploy/web', { to: 'node-2', wait: false, dryRun: 'client' }), 0)
  assert.equal(io.out().match(/client dry run/g)?.length, 2)
})

test('nothing to move is no failure', async () => {
  assert.equal(await ask('deployment/web', { awayFrom: 'node-3' }), 0)
  assert.match(io.err(), /^nothing to move: no running pod of deployment\/web in namespace default on node-3\n$/)
  assert.deepEqual(asked(), [])
})

test('Ctrl-C begins no other and lets go on what has begun', async () => {
  const ending = ask('deployment/web', { parallel: '1' })
  while (asked().length === 0) await sleep(5)
  io.interrupt()
  assert.equal(await ending, 130)
  assert.equal(asked().length, 1)
  assert.match(io.err(), /interrupted: the migration default\/web-a-\w+ goes on/)
})

for (const [what, target, flags, words] of [
  ['two goals', 'deployment/web', { to: 'node-1', awayFrom: 'node-2' }, /--to and --away-from/],
  ['two sets', 'deployment/web', { selector: 'app=web' }, /deployment\/web and --selector/],
  ['no set', undefined, { awayFrom: 'node-1' }, /which pod\?/],
  ['an empty selector', undefined, { selector: ' ' }, /--selector: give at least one label/],
  ['one pod away from a node', 'pod/web-a', { awayFrom: 'node-1' }, /--away-from chooses/],
  ['an owner without a name', 'sts/', {}, /the name is missing/],
  ['a name for many', 'deployment/web', { name: 'mine' }, /--name/],
  ['no number', 'deployment/web', { parallel: '0' }, /--parallel "0": give a number/],
  ['a limit for one pod', 'pod/web-a', { parallel: '2' }, /--parallel is for several/],
  ['a limit that nobody keeps', 'deployment/web', { parallel: '2', wait: false }, /--no-wait/],
  ['what has no pods to move', 'daemonset/web', {}, /daemonset\/web/],
] as const)
  test(`refused before the cluster is asked: ${what}`, async () => {
    await assert.rejects(ask(target, flags), (error) => error instanceof UsageError && words.test(error.message))
    assert.deepEqual(server.requests, [])
  })

test('a selector as the API server takes it', () => {
  const matchExpressions = [
    { key: 'tier', operator: 'In' as const, values: ['a', 'b'] },
    { key: 'old', operator: 'DoesNotExist' as const },
    { key: 'new', operator: 'Exists' as const },
  ]
  assert.equal(selectorText({ matchLabels: { app: 'web' }, matchExpressions }), 'app=web,tier in (a,b),!old,new')
  assert.throws(() => selectorText({}), UsageError)
})
