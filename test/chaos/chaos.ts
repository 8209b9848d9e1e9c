/**
 * `make chaos [RUNS=200] [SEED=1] [ONLY=text] [SKIP=0] [OWNER=Deployment] [CONTAINERS=2] [RESULTS=file]`: live migrations under blows at
 * every step. Every pair of blow and step comes before any comes twice; the moment within the step is drawn. Runs that did not hit do not count. Exits 1 when anything
 * was violated.
 */
import { appendFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { node } from '../../lab/cluster.ts'
import { publishFromHost } from '../../lab/images/publish.ts'
import { NODES } from '../../lab/places.ts'
import { type Home, type HomeOptions, newHome, removeAll } from '../../lab/scenario/chaos/home.ts'
import { type Aim, createPlanner } from '../../lab/scenario/chaos/plan.ts'
import { chaosRun, type Outcome, prepareNode } from '../../lab/scenario/chaos/run.ts'
import { countsOf, lineOf, tableOf } from '../../lab/scenario/chaos/tally.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { startNodeWitness } from '../../lab/scenario/node-witness.ts'

const { RUNS = '200', SEED = '1', ONLY = '', SKIP = '0', RESULTS, OWNER, CONTAINERS } = process.env
const kind: HomeOptions = {
  owner: OWNER === 'Deployment' ? 'Deployment' : 'none',
  containers: CONTAINERS === '2' ? 2 : 1,
}
const seed = Number(SEED)
const planner = createPlanner({ seed, only: ONLY, skip: Number(SKIP) })

const client = await connect()
await publishFromHost(['ledger:1'])
await deployPodferry({ bus: 'kubernetes' })
const witness = await startNodeWitness()
await Promise.all(NODES.map((name) => prepareNode(witness, name)))
// Of runs that were interrupted.
await removeAll(client)

const all: { aim: Aim; outcome: Outcome }[] = []
const isHit = ({ outcome }: (typeof all)[number]) => outcome.steps.length > 0
let home: Home | undefined

async function oneRun(aim: Aim): Promise<Outcome> {
  try {
    home ??= await newHome(client, witness, `chaos-${seed}-${all.length + 1}`, kind)
    return await chaosRun(client, witness, home, aim)
  } catch (error) {
    // The lab itself did not do what it should: that proves nothing, and must not pass for a proof.
    await removeAll(client).catch(() => {})
    return { steps: [], end: 'none', downtime: 'none', violations: [`broken off: ${inspect(error)}`] }
  }
}

while (all.filter(isHit).length < Number(RUNS)) {
  const aim = planner.next()
  if (aim === undefined) break
  const began = Date.now()
  const outcome = await oneRun(aim)
  home = outcome.home
  planner.landed(aim, outcome.steps)
  all.push({ aim, outcome })
  const line = lineOf(aim, outcome, (Date.now() - began) / 1000)
  console.log(`${new Date().toISOString().slice(11, 19)} ${all.filter(isHit).length}/${RUNS} ${line}`)
  for (const sentence of outcome.violations.slice(0, 12)) console.log(`  VIOLATION ${sentence}`)
  if (outcome.violations.length > 0) console.log(`  ${JSON.stringify(outcome.migration?.status)}`)
  const record = { blow: aim.blow.name, step: aim.step, ...outcome, migration: undefined, home: undefined }
  if (RESULTS) await appendFile(RESULTS, `${JSON.stringify(record)}\n`)
}
await removeAll(client)
await Promise.all(NODES.map((name) => node(name).slow(undefined)))
witness.close()
client.close()
for (const line of tableOf(all)) console.log(line)
const open = planner.open()
if (open.length > 0) console.log(`not hit: ${open.join('; ')}`)
console.log(`\nseed ${seed}: ${countsOf(all)}`)
process.exit(all.some(({ outcome }) => outcome.violations.length > 0) ? 1 : 0)
