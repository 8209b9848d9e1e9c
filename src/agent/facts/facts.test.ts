import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { FACTS_ANNOTATION } from '../../api/names.ts'
import { factsOf } from '../../api/node-facts.ts'
import { NODES } from '../../api/resources.ts'
import { aNode } from '../../controller/testing/builders.ts'
import { createClient } from '../../kube/client.ts'
import { startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import { silentLog } from '../../kube/testing/silent-log.ts'
import { until } from '../../kube/testing/until.ts'
import { quickFacts, roundedDown, slowFacts } from './collect.ts'
import { cpuFeatures } from './cpu.ts'
import { forgetFacts, reportFacts } from './report.ts'

test('of a processor only what programs may use counts, and only what every core has', () => {
  const cpuinfo = 'processor : 0\nflags\t\t: fpu sse2 avx2 pti ibrs\n\nprocessor : 1\nflags\t\t: fpu sse2 pti\n'
  assert.deepEqual(cpuFeatures(cpuinfo), ['sse2'])
  assert.deepEqual(cpuFeatures('Features\t: fp asimd sve\n'), ['asimd', 'fp', 'sve'])
  assert.deepEqual(cpuFeatures(''), [])
})

test('what is free is told in steps of an eighth at most, never too much', () => {
  for (const bytes of [0, 5, 2 ** 20, 2 ** 30 + 1, 3_999_999_999, 2 ** 40 - 1]) {
    const told = roundedDown(bytes)
    assert.ok(told <= bytes && (bytes < 2 ** 20 || told > (bytes * 7) / 8), `${bytes} → ${told}`)
    assert.equal(roundedDown(told), told)
  }
})

async function scratch(files: Record<string, string>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'podferry-facts-'))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}

const sourcesOn = (hostRoot: string, criu: { code: number; stderr: string }, serverMs: number) => ({
  hostRoot,
  node: {
    exec: async (argv: readonly string[]) => {
      const command = argv.slice(2).join(' ')
      if (command === 'criu check') return { ...criu, stdout: '' }
      const stdout = { 'criu --version': 'Version: 4.2.1\n', 'runc --version': 'runc version 1.3.6\n' }[command]
      return stdout === undefined ? { code: 127, stdout: '', stderr: '' } : { code: 0, stdout, stderr: '' }
    },
  },
  cri: {
    version: async () => ({ runtimeName: 'containerd', runtimeVersion: 'v2.3.4' }),
    statusInfo: async () => ({ config: '{"enableExperimentalRestoreViaCreate":true}' }),
  },
  runtimeSocket: '/run/containerd/containerd.sock',
  runtimeRoot: '/var/lib/containerd',
  live: { able: true } as const,
  kubeletInsecureTls: false,
  serverTime: async () => new Date(serverMs),
  now: () => new Date(60_900),
})

test('facts are found, written once, and taken back', async () => {
  const root = await scratch({
    'proc/cpuinfo': 'flags : sse2\n',
    'proc/meminfo': 'MemTotal: 9 kB\nMemAvailable:    2097152 kB\n',
    'proc/sys/kernel/osrelease': '6.18.5\n',
    'proc/sys/kernel/io_uring_disabled': '2\n',
    'sys/fs/cgroup/cgroup.controllers': 'cpu\n',
  })
  const sources = sourcesOn(root, { code: 0, stderr: '' }, 60_000)
  await using server = await startFakeApiServer()
  server.seed(NODES, aNode('node-1'))
  const client = createClient({ connection: server.connection(), role: 'agent' })
  const end = reportFacts({ client, nodeName: 'node-1', log: silentLog, sources })
  const told = () => factsOf(server.objects(NODES)[0])
  await until('the facts are there', () => told() !== undefined)
  await end()
  const { diskFreeBytes = 0, ...facts } = told() ?? { live: { able: false } }
  assert.deepEqual(facts, {
    ...{ live: { able: true }, image: { able: true } },
    ...{ runtime: 'containerd 2.3.4', runc: '1.3.6', criu: '4.2.1', criuCheck: '' },
    ...{ kernel: '6.18.5', cpu: 'sse2', cgroup: 2, ioUringDisabled: 2 },
    ...{ memoryFreeBytes: 2 ** 31, clockAheadSeconds: 0 },
  })
  assert.ok(diskFreeBytes > 0)
  await forgetFacts(client, 'node-1')
  assert.equal(server.objects(NODES)[0]?.metadata.annotations?.[FACTS_ANNOTATION], undefined)
  client.close()
  await rm(root, { recursive: true })
})

test("CRIU's complaints, a clock that is ahead, and cgroup version 1 are told", async () => {
  const root = await scratch({})
  const stderr = 'Warn  (x)\nError (criu/cr-check.c:1): no uffd\nLooks bad.\n'
  const sources = sourcesOn(root, { code: 1, stderr }, 50_000)
  assert.equal((await slowFacts(sources)).criuCheck, 'Error (criu/cr-check.c:1): no uffd')
  const { clockAheadSeconds, cgroup, cpu } = await quickFacts(sources)
  assert.deepEqual({ clockAheadSeconds, cgroup, cpu }, { clockAheadSeconds: 10, cgroup: 1, cpu: undefined })
  await rm(root, { recursive: true })
})

test('a runtime that starts anew is asked again; one that stays silent is told of', async () => {
  const root = await scratch({})
  const sources = sourcesOn(root, { code: 0, stderr: '' }, 60_000)
  let asked = 0
  const version = async () => {
    asked += 1
    if (asked === 1) throw new Error('ECONNREFUSED')
    return sources.cri.version()
  }
  assert.deepEqual((await quickFacts({ ...sources, cri: { ...sources.cri, version } })).image, { able: true })
  assert.equal(asked, 2)

  let seconds = 60
  const now = () => new Date(seconds++ * 6_000)
  const silent = { ...sources.cri, version: () => Promise.reject(new Error('ECONNREFUSED')) }
  const { image } = await quickFacts({ ...sources, cri: silent, now })
  assert.deepEqual(image, { able: false, message: 'the container runtime does not answer: ECONNREFUSED' })
  await rm(root, { recursive: true })
})
