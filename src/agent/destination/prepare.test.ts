import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import { parseBytes } from '../../api/quantity.ts'
import { judgeReadiness } from './prepare.ts'
import { checkRoom, expectedBytes } from './room.ts'

const fine = {
  support: { able: true } as const,
  missing: [],
  registryError: undefined,
  roomError: undefined,
  waitedMs: 0,
}
const MISSING = ['registry.test/counter@sha256:aa']

describe('judgeReadiness', () => {
  const cases: [
    sentence: string,
    facts: Partial<Parameters<typeof judgeReadiness>[0]>,
    status: string,
    reason: string,
    words: RegExp,
  ][] = [
    ['is ready when all is there', {}, 'True', 'Ready', /./],
    [
      'names the setting when the runtime cannot restore',
      { support: { able: false, message: 'set enable_x' } },
      'False',
      'RestoreNotSupported',
      /set enable_x/,
    ],
    [
      'does not pull images for nothing',
      { support: { able: false, message: 'set enable_x' }, missing: MISSING },
      'False',
      'RestoreNotSupported',
      /enable_x/,
    ],
    ['asks for images', { missing: MISSING }, 'Unknown', 'ImagesMissing', /counter@sha256:aa/],
    ['has no room', { roomError: '/var/lib: too small' }, 'False', 'DiskTooSmall', /too small/],
    [
      'waits for a registry that is being replaced',
      { registryError: 'ECONNREFUSED', waitedMs: 14_000 },
      'Unknown',
      'NoRegistry',
      /DaemonSet podferry-system\/podferry-registry/,
    ],
    [
      'gives up on a registry that stays away',
      { registryError: 'ECONNREFUSED', waitedMs: 15_000 },
      'False',
      'NoRegistry',
      /ECONNREFUSED/,
    ],
  ]
  for (const [sentence, facts, status, reason, words] of cases) {
    it(sentence, () => {
      const found = judgeReadiness({ ...fine, ...facts })
      assert.deepEqual([found.status, found.reason], [status, reason])
      assert.match(found.message, words)
    })
  }
  it('lists the images for the pull pod', () => {
    assert.deepEqual(judgeReadiness({ ...fine, missing: MISSING }).imagesMissing, MISSING)
  })
})

describe('parseBytes', () => {
  for (const [quantity, bytes] of [
    ['0', 0],
    ['128974848', 128974848],
    ['129e6', 129_000_000],
    ['129M', 129_000_000],
    ['123Mi', 128_974_848],
    ['1.5Gi', 1_610_612_736],
    ['.5Ki', 512],
    ['100m', 1],
    ['1E', 1e18],
    ['1KB', undefined],
    ['lots', undefined],
    ['', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(quantity)}`, () => assert.equal(parseBytes(quantity), bytes))
  }
})

describe('room', () => {
  const pod = (...resources: object[]) =>
    ({ spec: { containers: resources.map((one) => ({ name: 'c', image: 'i', resources: one })) } }) as unknown as Pod

  it('believes the archives once they exist', () => {
    const containers = [1, 2].map((archiveBytes) => ({ name: 'c', image: 'i', imageID: 'i', archiveBytes }))
    assert.equal(expectedBytes({ containers }, pod({ requests: { memory: '1Gi' } })), 3)
  })
  it('takes requests, else limits, else nothing', () => {
    const source = pod({ requests: { memory: '1Ki' }, limits: { memory: '1Gi' } }, { limits: { memory: '2Ki' } }, {})
    assert.equal(expectedBytes({}, source), 3072)
    assert.equal(expectedBytes({}, undefined), 0)
  })
  it('finds a disk too small and says by how much, also for folders that do not exist yet', async () => {
    const hostRoot = await mkdtemp(join(tmpdir(), 'podferry-room-'))
    try {
      const places = { hostRoot, runtimeRoot: '/var/lib/containerd', registryRoot: '/var/lib/podferry/registry' }
      await checkRoom(places, 1024)
      await assert.rejects(checkRoom(places, 2 ** 60), (error: Error & { reason: string }) => {
        assert.equal(error.reason, 'DiskTooSmall')
        assert.match(error.message, /containerd, \/var\/lib\/podferry\/registry .* 4 time\(s\)/)
        return true
      })
    } finally {
      await rm(hostRoot, { recursive: true })
    }
  })
})
