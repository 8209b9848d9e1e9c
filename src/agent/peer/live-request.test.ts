import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Migration } from '../../api/migration.ts'
import { judgeLive, type LiveAsk, livePathOf, parseLivePath, thingOf } from './live-request.ts'
import { aLiveMigration, UID } from './testing/live.ts'

const target = { namespace: 'default', migrationName: 'move', migrationUID: UID }
const IMAGES: LiveAsk = { what: 'images', container: 'main' }
const FILES: LiveAsk = { what: 'files', root: 'layer:main', level: 0 }

describe('judgeLive', () => {
  const image = aLiveMigration()
  const inMode = (mode: 'Live' | 'Image'): Migration => ({ ...image, status: { ...image.status, mode } })
  const cases: [sentence: string, migration: Migration, ask: LiveAsk, reason?: string, peer?: string, self?: string][] =
    [
      ['takes the beginning of an accepted Migration', aLiveMigration(), { what: 'begin' }],
      ['takes files', aLiveMigration(), FILES],
      ['takes a volume that no status names', aLiveMigration(), { what: 'files', root: 'volume:data', level: 1 }],
      ['takes images when Checkpointed was seen', aLiveMigration({ Checkpointed: 'True' }), IMAGES],
      ['takes a second copy then', aLiveMigration({ Checkpointed: 'True' }), { ...FILES, level: 1 }],
      ['refuses a first copy then', aLiveMigration({ Checkpointed: 'True' }), FILES, 'TooLate'],
      ['refuses another mode', inMode('Image'), FILES, 'OtherMode'],
      ['refuses what is for another node', aLiveMigration(), FILES, 'NotTheDestination', 'node-1', 'node-3'],
      ['refuses another agent than the source', aLiveMigration(), FILES, 'NotTheSource', 'node-3'],
      ['refuses the destination itself', aLiveMigration(), FILES, 'NotTheSource', 'node-2'],
      ['refuses after the commit', aLiveMigration({ Committed: 'True' }), IMAGES, 'AlreadyDecided'],
      ['refuses after the abort', aLiveMigration({ Committed: 'False' }), IMAGES, 'AlreadyDecided'],
      ['refuses when the checkpoint failed', aLiveMigration({ Checkpointed: 'False' }), IMAGES, 'AlreadyDecided'],
      ['refuses before the destination is ready', aLiveMigration({ DestinationReady: 'Unknown' }), IMAGES, 'NotReady'],
      ['refuses what was not accepted', aLiveMigration({ Accepted: 'False' }), IMAGES, 'NotReady'],
      ['refuses images of no container', aLiveMigration(), { ...IMAGES, container: 'x' }, 'ContainerNotFound'],
      ['refuses a layer of no container', aLiveMigration(), { ...FILES, root: 'layer:x' }, 'ContainerNotFound'],
    ]
  for (const [sentence, migration, ask, reason, peer = 'node-1', self = 'node-2'] of cases) {
    it(sentence, () => assert.equal(judgeLive(migration, { target, ask }, peer, self)?.reason, reason))
  }
  it('refuses another Migration of that name', () => {
    const other = { ...target, migrationUID: UID.replace('5', '6') }
    assert.equal(
      judgeLive(aLiveMigration(), { target: other, ask: FILES }, 'node-1', 'node-2')?.reason,
      'MigrationNotFound',
    )
  })
})

describe('parseLivePath', () => {
  const asks: LiveAsk[] = [
    { what: 'begin' },
    IMAGES,
    FILES,
    { what: 'files', root: 'volume:data', level: 1 },
    { what: 'files', root: 'shm', level: 1 },
  ]
  for (const ask of asks) {
    it(`reads ${livePathOf(target, ask)}`, () =>
      assert.deepEqual(parseLivePath(livePathOf(target, ask)), { target, ask }))
  }

  const base = `/v1/migrations/${UID}/live`
  const query = '?namespace=default&migration=move'
  for (const path of [
    `/v1/migrations/x/live/begin${query}`,
    `${base}/begin/${query}`,
    `${base}/begin?namespace=..%2Fx&migration=move`,
    `${base}/begin?namespace=default`,
    `${base}/files/..%2F../0${query}`,
    `${base}/files/layer:../0${query}`,
    `${base}/files/layer:main/2${query}`,
    `${base}/files/layer:main${query}`,
    `${base}/files/layer:main/0/1${query}`,
    `${base}/images/..${query}`,
    `${base}/images/main/0${query}`,
    `${base}/${query}`,
    '/',
  ]) {
    it(`refuses ${path}`, () => assert.equal(parseLivePath(path), undefined))
  }

  it('lets no name through that is more than a path segment', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (uid, name, namespace, migration) => {
        for (const rest of [`images/${name}`, `files/${name}/1`, `files/volume:${name}/0`]) {
          const parsed = parseLivePath(
            `/v1/migrations/${uid}/live/${rest}?${new URLSearchParams({ namespace, migration })}`,
          )
          if (parsed) assert.match(thingOf(parsed.ask), /^(files|images)\/[a-z0-9:-]+$/)
        }
      }),
    )
  })
})

describe('two asks', () => {
  it('are about the same thing when they write into the same folder', () =>
    assert.equal(thingOf({ ...FILES, level: 1 }), thingOf(FILES)))
})
