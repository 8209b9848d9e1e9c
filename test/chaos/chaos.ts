/**
 * `make chaos [RUNS=200] [SEED=1]`: live migrations under blows at every step. Every pair of blow and stage comes before any comes
 * twice; the moment within the stage is drawn. Exits 1 when anything was violated, and prints how to repeat that run.
 */
import { BLOWS } from '../../lab/scenario/chaos/blows.ts'
import { type ChaosRun, chaosRun } from '../../lab/scenario/chaos/run.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import type { Stage } from '../../lab/scenario/stages.ts'

const RUNS = Number(process.env.RUNS ?? 200)
const SEED = Number(process.env.SEED ?? 1)
const ONLY = process.env.ONLY ?? ''
const STAGES: readonly Stage[] = ['Accepted', 'DestinationReady', 'Checkpointed', 'Committed', 'Restored', 'Delivered']
const LATEST_MS = 250

/** Mulberry32, so that a seed repeats its runs. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

function* plan(): Generator<ChaosRun> {
  const draw = random(SEED)
  const pairs = BLOWS.flatMap((blow) => STAGES.map((stage) => ({ blow, stage }))).filter(({ blow, stage }) =>
    `${blow.name} at ${stage}`.includes(ONLY),
  )
  for (;;) {
    const shuffled = pairs.map((pair) => ({ pair, at: draw() })).sort((a, b) => a.at - b.at)
    for (const { pair } of shuffled) yield { ...pair, delayMs: Math.round(draw() * LATEST_MS) }
  }
}

const client = await connect()
await deployPodferry({ bus: 'kubernetes' })
let [done, missed, moved, violated] = [0, 0, 0, 0]
for (const run of plan()) {
  if (done >= RUNS) break
  done++
  const outcome = await chaosRun(client, `chaos-${SEED}-${done}`, run)
  if (!outcome.hit) missed++
  if (outcome.end === 'moved') moved++
  if (outcome.violations.length > 0) violated++
  const hit = outcome.hit ? '' : ', nothing to hit'
  console.log(
    `${done}/${RUNS} ${run.blow.name} ${run.delayMs} ms after ${run.stage}${hit}: ${outcome.end}, downtime ${outcome.downtime}`,
  )
  for (const sentence of outcome.violations) console.log(`  VIOLATION ${sentence}`)
}
client.close()
console.log(
  `\n${done} runs with seed ${SEED}: ${moved} moved, ${done - moved} rolled back, ${missed} with nothing to hit, ${violated} violated an invariant`,
)
process.exit(violated === 0 ? 0 : 1)
