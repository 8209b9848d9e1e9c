import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ConditionType } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { judgeUpload, parsePath, pathOf } from './upload-request.ts'

const UID = '5f2a1c3e-0000-4000-8000-000000000001'
const target = { namespace: 'default', migrationName: 'move', migrationUID: UID, container: 'main' }

const aMigration = (
  truths: Partial<Record<ConditionType, 'True' | 'False' | 'Unknown'>> = {},
  uid = UID,
): Migration => ({
  apiVersion: 'podferry.dev/v1alpha1',
  kind: 'Migration',
  metadata: {
    name: 'move',
    namespace: 'default',
    uid,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { podName: 'p', mode: 'Auto', connections: 'Auto', timeoutSeconds: 600 },
  status: {
    source: { node: 'node-1', podUID: 'x' },
    destination: { node: 'node-2' },
    containers: [{ name: 'main', image: 'i', imageID: 'i@sha256:0' }],
    conditions: Object.entries({ Accepted: 'True' as const, DestinationReady: 'True' as const, ...truths }).map(
      ([type, status]) => ({ type, status, reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }),
    ),
  },
})

describe('judgeUpload', () => {
  const cases: [sentence: string, migration: Migration, peer: string, self: string, reason: string | undefined][] = [
    ['takes the archive of an accepted Migration', aMigration(), 'node-1', 'node-2', undefined],
    [
      'takes it before and after Checkpointed was seen',
      aMigration({ Checkpointed: 'True' }),
      'node-1',
      'node-2',
      undefined,
    ],
    ['takes it again when it was delivered already', aMigration({ Delivered: 'True' }), 'node-1', 'node-2', undefined],
    ['refuses another Migration of that name', aMigration({}, 'other'), 'node-1', 'node-2', 'MigrationNotFound'],
    ['refuses what is for another node', aMigration(), 'node-1', 'node-3', 'NotTheDestination'],
    ['refuses another agent than the source', aMigration(), 'node-3', 'node-2', 'NotTheSource'],
    ['refuses the destination itself', aMigration(), 'node-2', 'node-2', 'NotTheSource'],
    ['refuses after the commit', aMigration({ Committed: 'True' }), 'node-1', 'node-2', 'AlreadyDecided'],
    ['refuses after the abort', aMigration({ Committed: 'False' }), 'node-1', 'node-2', 'AlreadyDecided'],
    ['refuses when the checkpoint failed', aMigration({ Checkpointed: 'False' }), 'node-1', 'node-2', 'AlreadyDecided'],
    [
      'refuses before the destination is ready',
      aMigration({ DestinationReady: 'Unknown' }),
      'node-1',
      'node-2',
      'NotReady',
    ],
    ['refuses what was not accepted', aMigration({ Accepted: 'False' }), 'node-1', 'node-2', 'NotReady'],
  ]
  for (const [sentence, migration, peer, self, reason] of cases) {
    it(sentence, () => assert.equal(judgeUpload(migration, target, peer, self)?.reason, reason))
  }
  it('refuses a container that the Migration does not have', () => {
    assert.equal(
      judgeUpload(aMigration(), { ...target, container: 'x' }, 'node-1', 'node-2')?.reason,
      'ContainerNotFound',
    )
  })
})

describe('parsePath', () => {
  it('reads what pathOf writes', () => assert.deepEqual(parsePath(pathOf(target)), target))

  for (const path of [
    '/v1/migrations/x/containers/main/archive?namespace=default&migration=move',
    `/v1/migrations/${UID}/containers/../archive?namespace=default&migration=move`,
    `/v1/migrations/${UID}/containers/%2e%2e/archive?namespace=default&migration=move`,
    `/v1/migrations/${UID}/containers/main/archive?namespace=..%2Fx&migration=move`,
    `/v1/migrations/${UID}/containers/main/archive?namespace=default`,
    `/v1/migrations/${UID}/containers/main/archive/?namespace=default&migration=move`,
    '/',
  ]) {
    it(`refuses ${path}`, () => assert.equal(parsePath(path), undefined))
  }

  it('lets no name through that is more than a path segment', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (uid, container, namespace, migration) => {
        const query = new URLSearchParams({ namespace, migration })
        const parsed = parsePath(`/v1/migrations/${uid}/containers/${container}/archive?${query}`)
        if (parsed) for (const part of Object.values(parsed)) assert.match(part, /^[a-z0-9.-]+$/)
      }),
    )
  })
})
