/** One pod with every kind of volume that moves: its files by checksum, and what it knows of its own identity. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kubectl } from '../../lab/cluster.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { barePod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { bringPrograms, SOURCES } from '../../lab/scenario/programs.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import type { KubeClient } from '../../src/kube/client.ts'

let client: KubeClient

before(async () => {
  client = await connect()
  await Promise.all([deployPodferry({ bus: 'kubernetes' }), bringPrograms()])
  await kubectl(['create', 'configmap', 'volumes-config', '--from-literal=word=configured'])
  await kubectl(['create', 'secret', 'generic', 'volumes-secret', '--from-literal=word=whispered'])
})

after(async () => {
  try {
    await Promise.all(['volumes', 'volumes-absent'].map((name) => removePod(client, 'default', name)))
    await kubectl(['delete', 'configmap/volumes-config', 'secret/volumes-secret', '--ignore-not-found'])
    assert.deepEqual(await lastingLeftovers(client), [])
  } finally {
    client.close()
  }
})

/** The writable layer, emptyDirs on disk and in memory, the sandbox's shared memory. */
const PLACES = ['/layer', '/data', '/memory', '/dev/shm']

const VOLUMES = {
  programs: { at: SOURCES, is: { configMap: { name: 'programs' } } },
  data: { at: '/data', is: { emptyDir: {} } },
  memory: { at: '/memory', is: { emptyDir: { medium: 'Memory' } } },
  config: { at: '/config', is: { configMap: { name: 'volumes-config' } } },
  secret: { at: '/secret', is: { secret: { secretName: 'volumes-secret', defaultMode: 0o400 } } },
  info: {
    at: '/info',
    is: {
      projected: {
        sources: [
          { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
          { serviceAccountToken: { path: 'token', audience: 'volumes' } },
          { secret: { name: 'volumes-secret', items: [{ key: 'word', path: 'word' }] } },
        ],
      },
    },
  },
  node: { at: '/node', readOnly: true, is: { hostPath: { path: '/etc/ssl', type: 'Directory' } } },
}

function everyVolume() {
  // The layer's own folder must be there before the program fills it.
  const program = `import os; os.mkdir('/layer'); os.execv('/usr/bin/python3', ['python3', '${SOURCES}/volumes.py', *${JSON.stringify(PLACES)}])`
  const pod = barePod({
    name: 'volumes',
    node: 'node-1',
    image: 'python:3',
    command: ['/usr/bin/python3', '-c', program],
  })
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  const env = [
    field('POD_NAME', 'metadata.name'),
    field('POD_UID', 'metadata.uid'),
    field('POD_ADDRESS', 'status.podIP'),
    field('NODE_NAME', 'spec.nodeName'),
  ]
  const volumeMounts = Object.entries(VOLUMES).map(([name, { at, ...rest }]) => ({
    name,
    mountPath: at,
    readOnly: 'readOnly' in rest,
  }))
  for (const container of pod.spec.containers) Object.assign(container, { env, volumeMounts })
  const volumes = Object.entries(VOLUMES).map(([name, { is }]) => ({ name, ...is }))
  Object.assign(pod.spec, { volumes, securityContext: { seccompProfile: { type: 'RuntimeDefault' } } })
  return pod
}

const python = (pod: string, ...words: string[]) => kubectl(['exec', pod, '--', '/usr/bin/python3', ...words])
const read = (pod: string, path: string) => python(pod, '-c', `print(open('${path}').read(), end='')`)

/** What the program was started with; `kubectl exec` would show what a program started now gets. */
const environmentOf = async (pod: string): Promise<Record<string, string>> =>
  Object.fromEntries((await read(pod, '/proc/1/environ')).split('\0').map((line) => line.split(/=(.*)/s).slice(0, 2)))

/** @returns whom a service-account token is bound to */
async function bearerOf(pod: string, path: string): Promise<{ name: string; uid: string }> {
  const [, payload = ''] = (await read(pod, path)).split('.')
  return JSON.parse(Buffer.from(payload, 'base64url').toString())['kubernetes.io'].pod
}

const TOKENS = ['/info/token', '/var/run/secrets/kubernetes.io/serviceaccount/token']

test('files of every kind are the same after a move; the pod keeps its old identity where the program remembers it, and has the new one where kubelet writes it', async () => {
  const source = await runPod(client, everyVolume())
  await eventually(
    'its files are there',
    () =>
      read('volumes', '/ready').then(
        () => true,
        () => false,
      ),
    30_000,
  )
  const listing = (pod: string) => python(pod, `${SOURCES}/listing.py`, ...PLACES, '/usr/lib/python3*/unittest', '/etc')
  const given = async (pod: string) =>
    await Promise.all(['/config/word', '/secret/word', '/info/word'].map((path) => read(pod, path)))
  const [files, environment] = [await listing('volumes'), await environmentOf('volumes')]
  assert.match(files, /"sparse": true/)
  assert.match(files, /user\.colour/)
  assert.match(files, /security\.capability/)
  assert.match(files, /same as/)
  assert.match(files, /unittest\/only/)
  assert.doesNotMatch(files, /etc\/group|unittest\/case/, 'what the image has and the program has deleted')

  const migration = await migrate(client, { podName: 'volumes', destinationNode: 'node-2', mode: 'Live' })
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  const { podName: moved = '', podUID } = migration.status?.destination ?? {}
  console.log(`every volume: downtime ${migration.status?.timings?.downtimeMs} ms`)

  assert.deepEqual((await listing(moved)).split('\n'), files.split('\n'))
  assert.deepEqual(await given(moved), ['configured', 'whispered', 'whispered'])
  assert.match(await python(moved, '-c', "import os; print(os.listdir('/node'))"), /certs/)
  await python(moved, '-c', "open('/stop', 'w')")
  await eventually('it has looked at its files', () =>
    read(moved, '/verdict').then(
      () => true,
      () => false,
    ),
  )
  assert.equal(await read(moved, '/verdict'), 'all as it should be')
  for (const place of PLACES) assert.equal(await read(moved, `${place}/third-name`), 'one\nappended after the move\n')

  assert.deepEqual(await environmentOf(moved), environment, 'the program keeps the environment it was started with')
  assert.equal(environment.POD_NAME, 'volumes')
  assert.equal(environment.POD_UID, source.metadata.uid)
  assert.equal((await read(moved, '/proc/sys/kernel/hostname')).trim(), 'volumes')
  assert.equal(await read(moved, '/info/name'), moved)
  const address = (await podOrUndefined(client, 'default', moved))?.status?.podIP ?? 'none'
  assert.match(await read(moved, '/etc/hosts'), new RegExp(`^${address.replaceAll('.', '[.]')}\\s+volumes$`, 'm'))
  const started = await python(moved, '-c', "import os; print(os.environ['POD_NAME'], os.environ['NODE_NAME'])")
  assert.equal(started.trim(), `${moved} node-2`, 'a program that is started now has the new')
  for (const token of TOKENS) {
    const { name, uid } = await bearerOf(moved, token)
    assert.deepEqual({ name, uid }, { name: moved, uid: podUID })
  }
  await removePod(client, 'default', moved)
  const downtimesMs = [migration.status?.timings?.downtimeMs ?? Number.NaN]
  for (const [what, checked] of MOVED) await noteSeen({ kind: 'feature', what, result: 'moves', checked, downtimesMs })
})

/** What the test above has looked at. */
const MOVED = [
  [
    'files of the container, of emptyDirs on disk and in memory, of /dev/shm',
    'contents, modes, owners, times, xattrs, hard links, sparse files, deletions; the program goes on in the files that it has open',
  ],
  ['configMap, secret, projected volume', 'their words are there, the tokens are of the new pod'],
  ['hostPath, read-only, of type `Directory`', 'its files are there'],
  [
    'hostname, environment',
    'the program keeps those that it was started with; a program that is started later has the new',
  ],
] as const

test('a hostPath that only the source has is refused by its name before anything is frozen', async () => {
  const path = '/var/lib/volumes-only-here'
  const volume = (type: string) => ({ volumes: [{ name: 'node', hostPath: { path, type } }] })
  const sleeper = (type: string) => {
    const command = ['/bin/sh', '-c', 'while :; do sleep 1; done']
    const pod = barePod({ name: 'volumes-absent', node: 'node-1', image: 'busybox:1', command })
    Object.assign(pod.spec, volume(type))
    const volumeMounts = [{ name: 'node', mountPath: '/node', readOnly: true }]
    for (const container of pod.spec.containers) Object.assign(container, { volumeMounts })
    return pod
  }
  await runPod(client, sleeper('DirectoryOrCreate'))
  await removePod(client, 'default', 'volumes-absent')
  await runPod(client, sleeper('Directory'))
  const spec = { podName: 'volumes-absent', destinationNode: 'node-2', mode: 'Live' } as const
  const { status } = await migrate(client, spec)
  assert.equal(status?.failure?.reason, 'HostPathMissing', status?.failure?.message)
  assert.match(status.failure.message, /volume node .*\/var\/lib\/volumes-only-here.*node-2.*another destination/)
  assert.equal(status.timings?.frozenAt, undefined)
  const pod = await podOrUndefined(client, 'default', 'volumes-absent')
  assert.equal(pod && restarts(pod), 0)
  const checked = status?.failure?.message ?? ''
  await noteSeen({ kind: 'feature', what: 'HostPathMissing', result: 'refused', checked })
})
