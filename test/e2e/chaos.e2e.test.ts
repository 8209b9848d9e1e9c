/** The short form of `make chaos`: some kinds of blow once, at the step where each hurts most. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { node } from '../../lab/cluster.ts'
import { publishFromHost } from '../../lab/images/publish.ts'
import { NODES } from '../../lab/places.ts'
import { BLOWS } from '../../lab/scenario/chaos/blows.ts'
import type { BlowName } from '../../lab/scenario/chaos/expectations.ts'
import { type Home, newHome, removeAll } from '../../lab/scenario/chaos/home.ts'
import { chaosRun, prepareNode } from '../../lab/scenario/chaos/run.ts'
import type { Step } from '../../lab/scenario/chaos/steps.ts'
import { lineOf } from '../../lab/scenario/chaos/tally.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { type NodeWitness, startNodeWitness } from '../../lab/scenario/node-witness.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const RUNS: readonly [name: BlowName, step: Step, delayMs: number][] = [
  ['source agent killed', 'copying', 100],
  ['source agent killed', 'staging', 0],
  ['destination agent killed', 'restoring', 0],
  ['controller killed', 'staging', 0],
  ['criu killed at the source', 'paging', 100],
  ['wrapper killed', 'copying', 50],
  ['disk full at the destination', 'opening', 0],
]

let client: KubeClient
let witness: NodeWitness
let home: Home | undefined

before(async () => {
  client = await connect()
  await publishFromHost(['ledger:1'])
  await deployPodferry({ bus: 'kubernetes' })
  witness = await startNodeWitness()
  for (const name of NODES) await prepareNode(witness, name)
})
after(async () => {
  await removeAll(client)
  for (const name of NODES) await node(name).slow(undefined)
  witness.close()
  client.close()
})

for (const [index, [name, step, delayMs]] of RUNS.entries()) {
  test(`${name} while ${step}`, async () => {
    const blow = BLOWS.find((candidate) => candidate.name === name)
    assert.ok(blow)
    const began = Date.now()
    home ??= await newHome(client, witness, `chaos-short-${index}`)
    const aim = { blow, step, delayMs }
    const outcome = await chaosRun(client, witness, home, aim)
    home = outcome.home
    console.log(lineOf(aim, outcome, (Date.now() - began) / 1000))
    assert.deepEqual(outcome.violations, [])
  })
}
