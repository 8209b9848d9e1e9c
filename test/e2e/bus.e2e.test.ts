/** The bus is a hint: a real Kafka broker in the way, blows to it, and messages that never arrive only cost time. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { restartLabKafka, stopLabKafka } from '../../lab/kafka.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry, lastKafkaRecord } from '../../lab/scenario/deploy.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { counterPod, removePod, runPod } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import type { Stage } from '../../lab/scenario/stages.ts'
import { strike } from '../../lab/scenario/strike.ts'
import { signal } from '../../lab/scenario/victims.ts'
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const AT: Stage[] = ['Accepted', 'DestinationReady', 'Checkpointed', 'Delivered', 'Committed', 'Restored']

let client: KubeClient

before(async () => {
  client = await connect()
})
after(() => client.close())

/** Moves a counter and asserts the move. @returns the Migration */
async function moved(name: string): Promise<Migration> {
  await runPod(client, counterPod({ name, node: 'node-1' }))
  const migration = await migrate(client, { podName: name, destinationNode: 'node-2', mode: 'Image' })
  for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, sentence)
  await removePod(client, 'default', migration.status?.destination?.podName ?? '')
  return migration
}

const noticedBy = ({ status }: Migration) => condition(status, 'Delivered')?.reason

describe('driver kubernetes', () => {
  before(() => deployPodferry({ bus: 'kubernetes' }))

  test('a webhook that nobody hears only delays', async () => {
    assert.equal(await signal('node-2', 'event-handler', 'STOP'), 1)
    try {
      assert.equal(noticedBy(await moved('deaf')), 'FoundInRegistry')
    } finally {
      await signal('node-2', 'event-handler', 'CONT')
    }
  })
})

describe('driver kafka', () => {
  before(() => deployPodferry({ bus: 'kafka' }))
  after(() => deployPodferry({ bus: 'kubernetes' }))

  test('the record of a move is published and consumed', async () => {
    const migration = await moved('by-kafka')
    assert.equal(noticedBy(migration), 'KafkaRecord')
    assert.match((await lastKafkaRecord(migration.metadata.uid)) ?? '', new RegExp(migration.metadata.uid))
  })

  for (const stage of AT) {
    test(`kill -9 of the broker at ${stage}`, async () => {
      const blow = async () => {
        await restartLabKafka()
        return 1
      }
      await strike(client, { name: `broker-${stage.toLowerCase()}`, stage, blow })
    })
  }

  test('a record that is never consumed only delays', async () => {
    await stopLabKafka()
    try {
      assert.equal(noticedBy(await moved('no-broker')), 'FoundInRegistry')
    } finally {
      await deployPodferry({ bus: 'kafka' })
    }
  })
})
