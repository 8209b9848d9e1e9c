/**
 * `make moves [MOVES=50]`: one pod goes there and back until it has moved so often. A witness must have heard every number of its counter once,
 * and neither node may hold more than before: files, processes, mounts, cgroups, descriptors, memory of podferry. Exits 1 when
 * anything was violated.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { GATEWAY } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { type Inventory, inventory } from '../../lab/scenario/inventory.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { counterPod, removePod, runPod } from '../../lab/scenario/pods.ts'
import { proofsOfMove } from '../../lab/scenario/proofs.ts'
import { startWitness, violations } from '../../lab/scenario/witness.ts'
import { growth } from './growth.ts'

/** Even: the pod is where it began whenever the nodes are looked at. */
const MOVES = Math.ceil(Number(process.env.MOVES ?? 50) / 2) * 2
/** The first is what later ones are held against: by then each node has its folders, its image, and what a pod that has arrived has more. */
const LOOKS = [2, 10, MOVES].filter((move, index, all) => move <= MOVES && all.indexOf(move) === index)
/** kubelet and containerd clean up in their own time. */
const SETTLE_MS = 90_000

const client = await connect()
await deployPodferry({ bus: 'kubernetes' })
const witness = await startWitness(GATEWAY)
const wrong: string[] = []
const looks: { after: number; seen: Inventory }[] = []
const downtimes: number[] = []
const totals: number[] = []

/** Looks until nothing has grown, or time is up. */
async function look(after: number): Promise<void> {
  const deadline = Date.now() + SETTLE_MS
  for (;;) {
    const seen = await inventory()
    const last = looks.at(-1)
    const grown = last ? growth(last.seen, seen) : []
    if (grown.length > 0 && Date.now() < deadline) {
      await sleep(2_000)
      continue
    }
    looks.push({ after, seen })
    wrong.push(...grown.map((sentence) => `after ${after} moves: ${sentence}`))
    return
  }
}

await runPod(client, counterPod({ name: 'moves', node: 'node-1', witness: witness.target }))
await eventually('it counts', async () => witness.reports.length > 20)
let pod = 'moves'
for (let move = 1; move <= MOVES; move++) {
  const migration = await migrate(client, {
    podName: pod,
    destinationNode: move % 2 === 1 ? 'node-2' : 'node-1',
    mode: 'Live',
  })
  const missing = (await proofsOfMove(client, migration)).filter(({ holds }) => !holds)
  wrong.push(...missing.map(({ sentence }) => `move ${move}: ${sentence}`))
  if (missing.length > 0) break
  const { downtimeMs = Number.NaN, totalMs = Number.NaN } = migration.status?.timings ?? {}
  downtimes.push(downtimeMs)
  totals.push(totalMs)
  console.log(`move ${move}: ${pod}, downtime ${downtimeMs} ms, in all ${totalMs} ms`)
  pod = migration.status?.destination?.podName ?? ''
  if (LOOKS.includes(move)) await look(move)
}
const heard = witness.reports.length
await eventually('it counts on', async () => witness.reports.length > heard + 20).catch(() =>
  wrong.push('it does not count on'),
)
await witness.close()
wrong.push(...violations(witness.reports))
await removePod(client, 'default', pod)
wrong.push(...(await lastingLeftovers(client)))
client.close()

const column = (after: number) => `after ${after}`
const table = (pick: (seen: Inventory) => Record<string, number>) => {
  const rows: Record<string, Record<string, number>> = {}
  for (const { after, seen } of looks)
    for (const [what, count] of Object.entries(pick(seen))) rows[what] = { ...rows[what], [column(after)]: count }
  console.table(rows)
}
for (const name of ['node-1', 'node-2'] as const) {
  console.log(name)
  table(({ counts }) => counts[name])
}
console.log('resident memory, MB')
table(({ megabytes }) => megabytes)
const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
const { number = 0 } = witness.reports.at(-1) ?? {}
console.log(
  `${downtimes.length} moves: downtime ${Math.min(...downtimes)} to ${Math.max(...downtimes)} ms, median ${median(downtimes)} ms; in all ${median(totals)} ms a move; the counter reached ${number} in ${witness.reports.length} reports`,
)
for (const sentence of wrong) console.log(`VIOLATION ${sentence}`)
process.exit(wrong.length === 0 ? 0 : 1)
