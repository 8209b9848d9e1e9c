import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Migration } from '../../../api/migration.ts'
import type { Pod } from '../../../api/pod.ts'
import { arrivals, orphans } from './leftovers.ts'

const META = { resourceVersion: '1', creationTimestamp: '' }
const aMigration = (podUID: string, succeeded?: 'True' | 'False'): Migration => ({
  apiVersion: 'podferry.dev/v1alpha1',
  kind: 'Migration',
  metadata: { ...META, name: 'm', uid: 'migration' },
  spec: { podName: 'p', mode: 'Auto', connections: 'Auto', timeoutSeconds: 600 },
  status: {
    destination: { node: 'node-2', podUID },
    conditions: succeeded
      ? [{ type: 'Succeeded', status: succeeded, reason: 'R', message: '', lastTransitionTime: '' }]
      : [],
  },
})
const aPod = (phase: string, migrationUID = 'migration'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { ...META, name: 'p', uid: 'pod', annotations: { 'podferry.dev/await': migrationUID } },
  spec: { containers: [] },
  status: { phase },
})

describe('arrivals', () => {
  const cases: [sentence: string, migrations: Migration[], pods: Pod[], marked: boolean][] = [
    ['a pod that has arrived', [aMigration('pod', 'True')], [aPod('Running')], true],
    ['a pod that has arrived and waits after a reboot', [aMigration('pod', 'True')], [aPod('Pending')], true],
    ['a pod whose Migration is under way', [aMigration('pod')], [aPod('Running')], false],
    ['a pod that was rolled back', [aMigration('pod', 'False')], [aPod('Running')], false],
    ['a running pod whose Migration was deleted', [], [aPod('Running')], true],
    ['a pod that was forgotten while it waited', [], [aPod('Pending')], false],
    ['an annotation that was changed in the middle of a move', [aMigration('pod')], [aPod('Running', 'gone')], false],
    ["another pod's success", [aMigration('other', 'True')], [aPod('Pending')], false],
  ]
  for (const [sentence, migrations, pods, marked] of cases) {
    it(`${sentence}: ${marked ? 'starts as any other' : 'waits'}`, () => {
      assert.deepEqual(arrivals({ migrations, pods }), marked ? ['pod'] : [])
    })
  }
})

describe('orphans', () => {
  const cases: [sentence: string, migrations: Migration[], pods: Pod[], found: boolean | undefined][] = [
    ['under way', [aMigration('pod')], [aPod('Running')], undefined],
    ['removed by force while its pod lives', [], [aPod('Running')], true],
    ['removed by force, and the pod too', [], [], false],
    ["a destination that comes back after a person's word", [aMigration('pod', 'False')], [aPod('Running')], false],
  ]
  for (const [sentence, migrations, pods, mayRun] of cases) {
    it(sentence, () => {
      const expected = mayRun === undefined ? [] : [{ podUID: 'pod', mayRun }]
      assert.deepEqual(orphans(['pod'], { migrations, pods }), expected)
    })
  }
})
