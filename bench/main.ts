/** `make bench`: what moving 1 GiB in mode Image costs, and our packing beside a buildah build of the same archive. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from '../lab/scenario/connect.ts'
import { deployPodferry } from '../lab/scenario/deploy.ts'
import { measureMove } from './move.ts'
import { measurePacking } from './packing.ts'

const MEBIBYTES = 1024
const RESULTS = join(import.meta.dirname, '../dist/bench.json')

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

const client = await connect()
await deployPodferry({ bus: 'kubernetes' })

console.log(`moving a pod of ${MEBIBYTES} MiB in mode Image …`)
const move = await measureMove(client, MEBIBYTES)
console.log(`packing its archive, ours and buildah's …`)
const packing = await measurePacking(client, MEBIBYTES)
client.close()

console.table({
  'move: downtime': seconds(move.downtimeMs),
  'move: in all': seconds(move.totalMs),
  'agent RSS, idle': `${move.idleMegabytes} MB`,
  'agent RSS, peak while 1 GiB passes': `${move.peakMegabytes} MB`,
  'archive → image → registry, podferry': seconds(packing.oursMs),
  'archive → image → registry, buildah': seconds(packing.buildahMs),
  'podferry is faster by': `${(packing.buildahMs / packing.oursMs).toFixed(1)} ×`,
})
await mkdir(join(RESULTS, '..'), { recursive: true })
await writeFile(
  RESULTS,
  `${JSON.stringify({ at: new Date().toISOString(), mebibytes: MEBIBYTES, move, packing }, null, 2)}\n`,
)
console.log(`written to ${RESULTS}`)

const LIMIT_MEGABYTES = 200
if (move.peakMegabytes >= LIMIT_MEGABYTES) {
  console.log(`an agent used ${move.peakMegabytes} MB, the bar is ${LIMIT_MEGABYTES} MB`)
  process.exit(1)
}
