import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import type { Migration } from '../../api/migration.ts'
import { CANCEL_ANNOTATION, RECOVER_ANNOTATION } from '../../api/names.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import { createClient } from '../../kube/client.ts'
import { type FakeApiServer, startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import type { Session } from '../connection-options.ts'
import { run } from '../run.ts'
import { captureIo } from '../testing/capture.ts'
import { committed, created, delivering, lost, moved, refused, rolledBack } from '../testing/histories.ts'
import { cancel } from './cancel.ts'
import { list } from './list.ts'
import { migrate } from './migrate.ts'
import { recover } from './recover.ts'
import { status } from './status.ts'
import { version } from './version.ts'

let server: FakeApiServer
beforeEach(async () => {
  server = await startFakeApiServer()
})
afterEach(() => server[Symbol.asyncDispose]())

const open = async (): Promise<Session> => ({
  client: createClient({ connection: server.connection(), role: 'cli' }),
  namespace: 'default',
  timeoutMs: undefined,
})
const NAME = 'counter-x7k2p'
const WAIT = { name: NAME, wait: true, timeout: '60s' }

/** Plays the controller: the Migration goes through these states as soon as it exists. */
async function play(states: readonly Migration[]): Promise<void> {
  const { client } = await open()
  while (server.objects(MIGRATIONS).length === 0) await sleep(5)
  for (const { status: next } of states) {
    const [current] = server.objects(MIGRATIONS)
    assert.ok(current)
    if (next) await client.replaceStatus(MIGRATIONS, { ...current, status: next })
    await sleep(30)
  }
}

test('migrate makes the Migration and names the next command', async () => {
  const io = captureIo()
  assert.equal(await migrate('pod/counter', { name: NAME, to: 'node-2', wait: false }, io, open), 0)
  assert.equal(io.out(), `migration.podferry.dev/${NAME} created\nnext: podferry status -n default ${NAME}\n`)
  assert.deepEqual(server.objects(MIGRATIONS)[0]?.spec, { podName: 'counter', destinationNode: 'node-2' })
})

test('migrate -o name prints the name alone', async () => {
  const io = captureIo()
  await migrate('counter', { name: NAME, wait: false, output: 'name' }, io, open)
  assert.equal(io.out(), `migration.podferry.dev/${NAME}\n`)
})

test('migrate --dry-run=client asks the cluster for nothing', async () => {
  const io = captureIo()
  assert.equal(await migrate('pod/counter', { wait: true, dryRun: 'client', output: 'yaml' }, io, open), 0)
  assert.match(
    io.out(),
    /^apiVersion: podferry.dev\/v1alpha1\nkind: Migration\nmetadata:\n {2}generateName: counter-\n/,
  )
  assert.deepEqual(server.requests, [])
})

test('migrate --dry-run=server lets the API server judge', async () => {
  await migrate('pod/counter', { wait: false, dryRun: 'server' }, captureIo(), open)
  assert.match(server.requests[0]?.path ?? '', /[?&]dryRun=All/)
})

test('migrate --wait: a line a transition, then the downtime', async () => {
  const io = captureIo()
  const [exitCode] = await Promise.all([
    migrate('pod/counter', WAIT, io, open),
    play([delivering(), committed(), moved()]),
  ])
  assert.equal(exitCode, 0)
  assert.deepEqual(
    io
      .err()
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[2]),
    [
      'Accepted=True',
      'DestinationReady=True',
      'Checkpointed=True',
      'Delivered=True',
      'Committed=True',
      'Restored=True',
      'SourceRemoved=True',
      'Succeeded=True',
    ],
  )
  assert.match(
    io.out(),
    /^migration.podferry.dev\/counter-x7k2p created\npod .* moved .*\ndowntime 5.05s, 7.60s in all\nnext: /,
  )
})

test('migrate --wait -o json: one object a transition, nothing else', async () => {
  const io = captureIo()
  await Promise.all([migrate('pod/counter', { ...WAIT, output: 'json' }, io, open), play([delivering(), moved()])])
  const transitions = io
    .out()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(transitions.at(0).condition, 'Accepted')
  assert.deepEqual(transitions.at(-1), {
    time: '2026-01-02T03:04:07.600Z',
    namespace: 'default',
    name: NAME,
    pod: 'counter',
    phase: 'Succeeded',
    condition: 'Succeeded',
    status: 'True',
    reason: 'Moved',
    message: 'pod counter-5f2a1 runs on node-2; downtime 5.05s',
  })
})

for (const [what, end, words] of [
  ['refused', refused, /SameNode.*\nsource: pod default\/counter was not touched/],
  ['rolled back', rolledBack, /DumpFailed.*\nCRIU: Error \(criu.*\nsource: pod default\/counter runs on at node-1/],
] as const) {
  test(`migrate --wait of one that is ${what} exits with 3`, async () => {
    const io = captureIo()
    const [exitCode] = await Promise.all([migrate('pod/counter', WAIT, io, open), play([end()])])
    assert.equal(exitCode, 3)
    assert.match(io.err(), words)
  })
}

test('migrate --wait goes on through cut watches', async () => {
  const io = captureIo()
  const cuts = async () => {
    await play([delivering()])
    server.cutWatches()
    server.failNext(503, 'ServiceUnavailable', { method: 'GET' })
    await play([moved()])
  }
  assert.deepEqual(await Promise.all([migrate('pod/counter', WAIT, io, open), cuts()]), [0, undefined])
})

test('Ctrl-C ends the waiting, not the migration, and says so', async () => {
  const io = captureIo()
  const waiting = migrate('pod/counter', WAIT, io, open)
  await play([delivering()])
  while (!io.err().includes('Checkpointed=True')) await sleep(5)
  io.interrupt()
  assert.equal(await waiting, 130)
  assert.match(
    io.err(),
    /interrupted: the migration default\/counter-x7k2p goes on \(Delivering\)\nnext: podferry status.*\n {2}or: podferry cancel/,
  )
  assert.equal(server.objects(MIGRATIONS).length, 1)
})

test('Ctrl-C after the commit does not offer to cancel', async () => {
  const io = captureIo()
  const waiting = migrate('pod/counter', WAIT, io, open)
  await play([committed()])
  while (!io.err().includes('Committed=True')) await sleep(5)
  io.interrupt()
  assert.equal(await waiting, 130)
  assert.doesNotMatch(io.err(), /cancel/)
})

test('a Migration that is deleted meanwhile is a failure', async () => {
  const io = captureIo()
  const waiting = migrate('pod/counter', WAIT, io, open)
  await play([delivering()])
  await (await open()).client.delete(MIGRATIONS, 'default', NAME)
  assert.equal(await waiting, 3)
  assert.match(io.err(), /was deleted before it ended/)
})

test('on a terminal the steps are drawn in place and the last frame stays', async () => {
  const io = captureIo({ tty: true })
  const begun = performance.now()
  await Promise.all([migrate('pod/counter', WAIT, io, open), play([delivering(), moved()])])
  const frames = io.err().split('\u001b[J')
  assert.match(
    stripVTControlCharacters(frames.at(-1) ?? ''),
    /✔ Accept {18}node-1 to node-2, mode Image\n[\s\S]*✔ Remove source {4}1.00s\n$/,
  )
  const elapsedMs = performance.now() - begun
  // What stands before the first frame, the first, the last, and five a second.
  assert.ok(frames.length <= 3 + elapsedMs / 200, `${frames.length} frames in ${elapsedMs} ms`)
})

test('list: rows, or a sentence on stderr', async () => {
  const empty = captureIo()
  await list({}, empty, open)
  assert.deepEqual([empty.out(), empty.err()], ['', 'No Migrations found in default namespace.\n'])
  server.seed(MIGRATIONS, moved())
  const one = captureIo()
  await list({ allNamespaces: true }, one, open)
  assert.match(one.out(), /^NAMESPACE {3}NAME .*\ndefault {5}counter-x7k2p /)
  const json = captureIo()
  await list({ output: 'json' }, json, open)
  assert.equal(JSON.parse(json.out()).items[0].metadata.name, NAME)
})

test('status: sections, or the object', async () => {
  server.seed(MIGRATIONS, moved())
  const io = captureIo()
  assert.equal(await status(NAME, {}, io, open), 0)
  assert.match(io.out(), /^Name: {6}counter-x7k2p\n/)
  const yaml = captureIo()
  await status(NAME, { output: 'yaml' }, yaml, open)
  assert.match(yaml.out(), /^apiVersion: podferry.dev\/v1alpha1\n/)
})

test('cancel asks by annotation', async () => {
  server.seed(MIGRATIONS, delivering())
  const io = captureIo({ program: 'kubectl podferry' })
  assert.equal(await cancel(NAME, {}, io, open), 0)
  assert.ok(server.objects(MIGRATIONS)[0]?.metadata.annotations?.[CANCEL_ANNOTATION])
  assert.match(io.out(), /asked to roll back\nnext: kubectl podferry status -n default counter-x7k2p\n/)
})

for (const [migration, words] of [
  [committed(), /default\/counter-x7k2p is committed: only node-2 may run the pod now/],
  [moved(), /has ended already: the pod has moved/],
  [rolledBack(), /has ended already: it failed \(RolledBack\)/],
] as const) {
  test(`cancel of one that is ${migration.status?.phase} is refused`, async () => {
    server.seed(MIGRATIONS, migration)
    await assert.rejects(cancel(NAME, {}, captureIo(), open), words)
    assert.equal(server.objects(MIGRATIONS)[0]?.metadata.annotations, undefined)
  })
}

test('cancel looks again when the commit comes first', async () => {
  server.seed(MIGRATIONS, delivering())
  server.failNext(409, 'Conflict', { method: 'PATCH' })
  assert.equal(await cancel(NAME, {}, captureIo(), open), 0)
  assert.equal(server.requests.filter(({ method }) => method === 'GET').length, 2)
})

const RECOVER = { resumeSource: true, yes: true }

test('recover of a lost one gives the word by annotation', async () => {
  server.seed(MIGRATIONS, lost())
  const io = captureIo()
  assert.equal(await recover(NAME, RECOVER, io, open), 0)
  assert.equal(server.objects(MIGRATIONS)[0]?.metadata.annotations?.[RECOVER_ANNOTATION], 'resume-source')
  assert.match(io.out(), /asked to resume the source\nnext: podferry status -n default counter-x7k2p\n/)
})

for (const [what, migration, flags, words] of [
  ['one that is under way', committed(), RECOVER, /is not lost: its phase is Restoring/],
  ['one that has ended', moved(), RECOVER, /has ended already \(Succeeded\)/],
  ['a lost one without --yes', lost(), { ...RECOVER, yes: false }, /Node node-2 must be off.*two copies would run/],
  ['a lost one without --resume-source', lost(), { resumeSource: false, yes: true }, /--resume-source/],
] as const) {
  test(`recover of ${what} is refused`, async () => {
    server.seed(MIGRATIONS, migration)
    await assert.rejects(recover(NAME, flags, captureIo(), open), words)
    assert.equal(server.objects(MIGRATIONS)[0]?.metadata.annotations, undefined)
  })
}

test('recover does not give its word to a node that comes back in this moment', async () => {
  server.seed(MIGRATIONS, lost())
  server.failNext(409, 'Conflict', { method: 'PATCH' })
  await assert.rejects(recover(NAME, RECOVER, captureIo(), open), { reason: 'Conflict' })
})

test('version tells the controller, or why it cannot', async () => {
  const io = captureIo()
  assert.equal(await version({}, io, open), 0)
  assert.match(io.out(), /^Client: {6}podferry \d+\.\d+\.\d+, Node 24\./)
  assert.match(io.err(), /^Controller: {2}unknown: .*podferry-controller/)
})

/** Writes a kubeconfig for the API server at `url`. */
async function withKubeconfig(url: string, use: (kubeconfig: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'podferry-cli-'))
  try {
    const content = {
      'current-context': 'fake',
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'me' } }],
      clusters: [{ name: 'fake', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'me', user: { token: 'secret' } }],
    }
    await writeFile(join(folder, 'config'), JSON.stringify(content))
    await use(join(folder, 'config'))
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a cluster without podferry: the remedy', async () => {
  // Word for word what a real API server says of a group that it does not know.
  const bare = http.createServer((_request, response) => response.writeHead(404).end('404 page not found\n'))
  await once(bare.listen(0, '127.0.0.1'), 'listening')
  const { port } = bare.address() as AddressInfo
  await withKubeconfig(`http://127.0.0.1:${port}`, async (kubeconfig) => {
    const io = captureIo()
    assert.equal(await run(['list', '--kubeconfig', kubeconfig], io), 1)
    assert.match(io.err(), /^error: GET .*\npodferry is not installed in this cluster: make deploy/)
  })
  bare.closeAllConnections()
  bare.close()
})

test('errors are one message and an exit code', () =>
  withKubeconfig(server.url, async (kubeconfig) => {
    server.seed(MIGRATIONS, created())
    for (const [args, exitCode, words] of [
      [['status', NAME, '--kubeconfig', kubeconfig], 0, /^$/],
      [['--kubeconfig', kubeconfig, '-n', 'default', 'status', NAME], 0, /^$/],
      [['-n', 'elsewhere', 'list', '--kubeconfig', kubeconfig], 0, /^No Migrations found in elsewhere namespace\.\n$/],
      [['status', 'nobody', '--kubeconfig', kubeconfig], 1, /^error: GET .*nobody.*\n$/],
      [
        ['status', NAME, '--kubeconfig', kubeconfig, '--context', 'no'],
        1,
        /^error: kubeconfig: context "no" is missing/,
      ],
      [['migrate', 'daemonset/web'], 2, /^error: daemonset\/web: only a pod can be moved/],
      [['migrate', 'pod/UPPER'], 2, /^error: pod name "UPPER"/],
      [['migrate', 'pod/x', '--timeout', 'soon'], 2, /^error: --timeout "soon" is no duration/],
      [['migrate', 'pod/x', '--mode', 'Fast'], 2, /Allowed choices are Auto, Live, Image/],
      [['frobnicate'], 2, /unknown command 'frobnicate'/],
      [['--help'], 0, /^$/],
    ] as const) {
      const io = captureIo()
      assert.equal(await run(args, io), exitCode, args.join(' '))
      assert.match(io.err(), words)
    }
  }))
