/** The short form of `make chaos`: each kind of blow once, at the step where it hurts most. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { BLOWS } from '../../lab/scenario/chaos/blows.ts'
import { chaosRun } from '../../lab/scenario/chaos/run.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import type { Stage } from '../../lab/scenario/stages.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const RUNS: readonly [blow: string, stage: Stage, delayMs: number][] = [
  ['source agent killed', 'DestinationReady', 100],
  ['source agent killed', 'Checkpointed', 0],
  ['destination agent killed', 'Committed', 0],
  ['controller killed', 'Checkpointed', 0],
  ['criu killed at the source', 'Checkpointed', 0],
  ['wrapper killed', 'DestinationReady', 50],
]

let client: KubeClient

before(async () => {
  client = await connect()
  await deployPodferry({ bus: 'kubernetes' })
})
after(() => client.close())

for (const [index, [name, stage, delayMs]] of RUNS.entries()) {
  test(`${name} ${delayMs} ms after ${stage}`, async () => {
    const blow = BLOWS.find((candidate) => candidate.name === name)
    assert.ok(blow)
    const outcome = await chaosRun(client, `chaos-short-${index}`, { blow, stage, delayMs })
    console.log(
      `${name} at ${stage}: ${outcome.end}, downtime ${outcome.downtime}${outcome.hit ? '' : ', nothing to hit'}`,
    )
    assert.deepEqual(outcome.violations, [])
  })
}
