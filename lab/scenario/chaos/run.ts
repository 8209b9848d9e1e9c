/** One live migration of a ledger with one blow in the middle, and everything that must hold afterwards. */
import { setTimeout as sleep } from 'node:timers/promises'
import { condition, isFalse, isTrue } from '../../../src/api/conditions.ts'
import type { Migration } from '../../../src/api/migration.ts'
import { MIGRATIONS } from '../../../src/api/resources.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import { node } from '../../cluster.ts'
import { NODES, type NodeName, podRange } from '../../places.ts'
import { eventually } from '../eventually.ts'
import { leftovers } from '../leftovers.ts'
import { finished, startMigration } from '../migrate.ts'
import type { NodeWitness } from '../node-witness.ts'
import { violations, violationsOfReturn, violationsWithPowerCut } from '../witness.ts'
import type { Struck } from './blows.ts'
import { keepControllerOff } from './controller.ts'
import { faultOfEnd, MOVED } from './expectations.ts'
import { type Field, follow, placeNow } from './field.ts'
import { type Home, othersIn, removeAll } from './home.ts'
import type { Aim } from './plan.ts'
import { whole } from './readiness.ts'
import { type Step, stepsBetween } from './steps.ts'

export interface Outcome {
  /** At which the blow may have landed; none when there was nothing to hit. */
  steps: Step[]
  /** `moved`, the reason of the rollback, or `none`. */
  end: string
  downtime: string
  /** One sentence each; empty when all held. */
  violations: string[]
  migration?: Migration
  /** Where the program runs on; undefined when the next run must begin with another. */
  home?: Home
}

const PATIENCE_S = 120
/** All of a move's pages in about a second: there is a time in which they can be struck. */
const RATE = '150mbit'

/** Slow cables for the memory that follows, and an ear of the witness. Again after a node was booted. */
export async function prepareNode(witness: NodeWitness, name: NodeName): Promise<void> {
  await node(name).slow(RATE)
  await witness.listen(name)
}

/** Never throws for what the migration did wrong: that is in the outcome. */
export async function chaosRun(client: KubeClient, witness: NodeWitness, home: Home, aim: Aim): Promise<Outcome> {
  const { blow, step, delayMs } = aim
  const source = home.node
  const destination = NODES.find((name) => name !== source) ?? source
  const nodes = { source, destination }
  if (blow.takesAway) await keepControllerOff(client, nodes[blow.takesAway])
  await blow.prepare?.(nodes)
  await whole(client)
  const began = Date.now()
  await eventually('it counts', async () => witness.since(began).length > 5, 20_000, 20)

  const { timeoutSeconds = 300 } = blow
  const migration = await startMigration(client, {
    podName: home.pod,
    destinationNode: destination,
    mode: 'Live',
    timeoutSeconds,
  })
  const following = follow(client, migration)
  const field: Field = { client, ...nodes, migration, place: following.place }
  let struck: Struck | undefined
  const found: string[] = []
  try {
    await following.reaches(step)
    await sleep(delayMs)
    const before = following.place()
    struck = await blow.land(field, step)
    // At once: the program may run on there long before the migration has ended.
    const booted = Promise.resolve(struck?.powerCut && struck.meanwhile).then(async () => {
      if (struck?.powerCut) await prepareNode(witness, struck.powerCut.node)
    })
    booted.catch(() => {})
    const steps = struck === undefined ? [] : stepsBetween(before, await placeNow(field))
    const end = await finished(client, migration, (blow.patience ?? PATIENCE_S) * 1000).catch(async (error) => {
      found.push(`no end: ${error.message}`)
      return await client.get(MIGRATIONS, migration.metadata.namespace, migration.metadata.name).catch(() => undefined)
    })
    await struck?.cure?.()
    await booted
    const next = end && (await judge(witness, { end, home, began, struck, found, destination }))
    if (end && struck && steps.length > 0) {
      const ending = { end: endOf(end), isCommitted: isTrue(end.status, 'Committed') }
      const fault = faultOfEnd(blow.name, steps, ending, struck.journal, home.deployment !== undefined)
      if (fault) found.push(fault)
    }
    await blow.repair?.(nodes)
    found.push(...(await left(client, next)))
    return {
      steps,
      end: end === undefined ? 'none' : endOf(end),
      downtime: end?.status?.timings?.downtime ?? 'none',
      violations: found,
      ...(end === undefined ? {} : { migration: end }),
      // A pod that something was wrong with is taken away: the next run begins anew.
      ...(next !== undefined && found.length === 0 ? { home: next } : {}),
    }
  } finally {
    following.close()
    await struck?.cure?.().catch(() => {})
    if (found.length === 0) await client.delete(MIGRATIONS, migration.metadata.namespace, migration.metadata.name)
    else await removeAll(client)
  }
}

const endOf = ({ status }: Migration) =>
  isTrue(status, 'Succeeded') ? MOVED : `${status?.failure?.reason ?? condition(status, 'Succeeded')?.reason}`

interface Case {
  end: Migration
  home: Home
  began: number
  struck: Struck | undefined
  found: string[]
  destination: NodeName
}

/** @returns where the program runs on */
async function judge(witness: NodeWitness, one: Case): Promise<Home | undefined> {
  const { end, home, began, struck, found, destination } = one
  const { status } = end
  const moved = isTrue(status, 'Succeeded')
  const survivor: Home = moved ? { ...home, pod: status?.destination?.podName ?? '', node: destination } : home
  const now = Date.now()
  await eventually('it counts on', async () => witness.since(now).length > 10, 60_000, 20).catch(() =>
    found.push(`the survivor ${survivor.pod} does not count on`),
  )
  if (moved && !isTrue(status, 'Restored')) found.push('success without a restore')
  if (!moved && !status?.failure?.reason) found.push('a failure without a reason')
  // Only a migration that says so may have undone work since the commit.
  const undone = !moved && isTrue(status, 'Committed') && (isFalse(status, 'Delivered') || isFalse(status, 'Restored'))
  const law = undone ? violationsOfReturn : violations
  const reports = witness.since(began)
  const cut = struck?.powerCut
  found.push(
    ...(cut
      ? violationsWithPowerCut(reports, { at: cut.at, offAt: cut.offAt, isThere: isOn(cut.node) }, law)
      : law(reports)),
  )
  const speaker = reports.at(-1)?.from ?? ''
  if (!isOn(survivor.node)(speaker)) found.push(`${speaker} is the last to speak, and not on ${survivor.node}`)
  return survivor
}

/** @returns whether a pod with an address is on the node */
const isOn = (name: NodeName) => {
  const prefix = podRange(name).split('.').slice(0, 3).join('.')
  return (address: string): boolean => address.startsWith(`${prefix}.`)
}

/** What was struck down may still be sweeping up after its restart. */
async function left(client: KubeClient, survivor: Home | undefined): Promise<string[]> {
  const all = async () => [...(await leftovers(client)), ...(await othersIn(client, survivor))]
  await eventually('nothing is left behind', async () => (await all()).length === 0, 30_000, 300).catch(() => {})
  return await all()
}
