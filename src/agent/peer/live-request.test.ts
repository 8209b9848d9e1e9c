import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { judgeLive, type LiveAsk, livePathOf, parseLivePath } from './live-request.ts'

const UID = '5f2a1c3e-0000-4000-8000-000000000001'
const target = { namespace: 'default', migrationName: 'move', migrationUID: UID }
const ASKS: LiveAsk[] = [
  { what: 'begin' },
  { what: 'files', root: 'layer:main', level: 0 },
  { what: 'files', root: 'volume:data', level: 1 },
  { what: 'files', root: 'shm', level: 1 },
  { what: 'images', container: 'main' },
]

const aMigration = (
  truths: Record<string, 'True' | 'False'> = {},
  fields: Partial<MigrationStatus> = {},
): Migration => ({
  apiVersion: 'podferry.dev/v1alpha1',
  kind: 'Migration',
  metadata: {
    name: 'move',
    namespace: 'default',
    uid: UID,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { podName: 'p', mode: 'Auto', connections: 'Auto', timeoutSeconds: 600 },
  status: {
    mode: 'Live',
    source: { node: 'node-1', podUID: 'x' },
    destination: { node: 'node-2' },
    containers: [{ name: 'main', image: 'i', imageID: 'i@sha256:0' }],
    conditions: Object.entries({ Accepted: 'True' as const, DestinationReady: 'True' as const, ...truths }).map(
      ([type, status]) => ({ type, status, reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }),
    ),
    ...fields,
  },
})

describe('the path of a request', () => {
  for (const ask of ASKS) {
    it(`leads back to ${JSON.stringify(ask)}`, () => {
      assert.deepEqual(parseLivePath(livePathOf(target, ask)), { target, ask })
    })
  }

  for (const path of ['files/layer:..%2f/0', 'files/layer:main/2', 'images/A', 'images/a/b', 'begin/x', 'other', '']) {
    it(`is none with ${path || 'nothing'}`, () => {
      const query = 'namespace=default&migration=move'
      assert.equal(parseLivePath(`/v1/migrations/${UID}/live/${path}?${query}`), undefined)
    })
  }

  it('never gives a name that could leave its folder', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const asked = parseLivePath(`/v1/migrations/${UID}/live/files/${a}/${b}?namespace=default&migration=move`)
        if (asked?.ask.what === 'files') assert.doesNotMatch(asked.ask.root, /[/.\\]/)
      }),
    )
  })
})

describe('judgeLive', () => {
  const images: LiveAsk = { what: 'images', container: 'main' }
  const cases: [sentence: string, migration: Migration, ask: LiveAsk, peer: string, reason: string | undefined][] = [
    ['takes the images of a Migration that waits for them', aMigration(), images, 'node-1', undefined],
    ['takes them when Checkpointed is told already', aMigration({ Checkpointed: 'True' }), images, 'node-1', undefined],
    ['refuses another mode', aMigration({}, { mode: 'Image' }), images, 'node-1', 'OtherMode'],
    ['refuses a node that is not the source', aMigration(), images, 'node-3', 'NotTheSource'],
    [
      'refuses for another destination',
      aMigration({}, { destination: { node: 'node-9' } }),
      images,
      'node-1',
      'NotTheDestination',
    ],
    [
      'refuses a container of another pod',
      aMigration(),
      { what: 'images', container: 'other' },
      'node-1',
      'ContainerNotFound',
    ],
    [
      "refuses such a container's layer",
      aMigration(),
      { what: 'files', root: 'layer:other', level: 0 },
      'node-1',
      'ContainerNotFound',
    ],
    ['refuses after the commit', aMigration({ Committed: 'True' }), images, 'node-1', 'AlreadyDecided'],
    ['refuses after an abort', aMigration({ Committed: 'False' }), images, 'node-1', 'AlreadyDecided'],
    ['refuses after a failed dump', aMigration({ Checkpointed: 'False' }), images, 'node-1', 'AlreadyDecided'],
    [
      'refuses before the destination is ready',
      aMigration({ DestinationReady: 'False' }),
      images,
      'node-1',
      'NotReady',
    ],
  ]
  for (const [sentence, migration, ask, peer, reason] of cases) {
    it(sentence, () => assert.equal(judgeLive(migration, { target, ask }, peer, 'node-2')?.reason, reason))
  }

  it('refuses another Migration of the same name', () => {
    const other = { ...target, migrationUID: '5f2a1c3e-0000-4000-8000-000000000002' }
    assert.equal(
      judgeLive(aMigration(), { target: other, ask: images }, 'node-1', 'node-2')?.reason,
      'MigrationNotFound',
    )
  })
})
