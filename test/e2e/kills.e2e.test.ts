/**
 * kill -9 of every part at every step: the pod is either moved once or runs on at the source without a restart,
 * never both at once, and nothing is left behind.
 */
import { after, before, describe, test } from 'node:test'
import type { NodeName } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import type { Stage } from '../../lab/scenario/stages.ts'
import { strike } from '../../lab/scenario/strike.ts'
import { killEverywhere, signal } from '../../lab/scenario/victims.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const STRIKES: Record<string, (source: NodeName, destination: NodeName) => Promise<number>> = {
  controller: () => killEverywhere('controller'),
  'source agent': (source) => signal(source, 'agent', 'KILL'),
  'destination agent': (_, destination) => signal(destination, 'agent', 'KILL'),
  'event handler': (_, destination) => signal(destination, 'event-handler', 'KILL'),
  registry: (_, destination) => signal(destination, 'registry', 'KILL'),
}

const AT: Stage[] = ['Accepted', 'DestinationReady', 'Checkpointed', 'Delivered', 'Committed', 'Restored']

let client: KubeClient
const outcomes: string[] = []

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => {
  client.close()
  console.log(outcomes.join('\n'))
})

for (const victim of Object.keys(STRIKES)) {
  describe(`kill -9 of the ${victim}`, () => {
    for (const stage of AT) {
      test(`at ${stage}`, async () => {
        const name = `kill-${victim.replaceAll(' ', '-')}-${stage.toLowerCase()}`
        const blow = () => STRIKES[victim]?.('node-1', 'node-2') ?? Promise.resolve(0)
        outcomes.push(`${victim} killed at ${stage}: ${await strike(client, { name, stage, blow })}`)
      })
    }
  })
}
