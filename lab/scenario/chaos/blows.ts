/** What may hit a migration. Each blow lands at once and says how the world is put right again. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { LIVE_JOURNAL_FOLDER } from '../../../src/agent/journal.ts'
import { type NodePart, node, part } from '../../cluster.ts'
import { NODES, type NodeName } from '../../places.ts'
import { killAll, processesOf } from '../node-processes.ts'
import { restartSoon } from '../restart.ts'
import type { BlowName, JournalStep } from './expectations.ts'
import type { Field } from './field.ts'
import { stopForGood, stopForMoments } from './power-cuts.ts'
import { emptyDisks, fillDisks, makeSmallDisks, removeSmallDisks } from './small-disks.ts'
import { hasReached, STEPS, type Step } from './steps.ts'

/** What a blow has done. */
export interface Struck {
  /** Puts right what does not mend itself; called when the Migration has ended, or should have. */
  cure?(): Promise<void>
  /** Runs beside the migration from the blow on: what the world does, or a person. */
  meanwhile?: Promise<void>
  /** What the source's journal said right after its agent was killed. */
  journal?: JournalStep
  /** The node whose power was cut, and when that began and was over: milliseconds since the epoch. */
  powerCut?: { node: NodeName; at: number; offAt: number }
}

export interface Blow {
  name: BlowName
  /** Before the Migration is made. */
  prepare?(nodes: { source: NodeName; destination: NodeName }): Promise<void>
  /** After everything. */
  repair?(nodes: { source: NodeName; destination: NodeName }): Promise<void>
  /** @returns undefined when there was nothing to hit before the migration left the step */
  land(field: Field, step: Step): Promise<Struck | undefined>
  /** Seconds the migration may take to its end. */
  patience?: number
  /** Of the Migration. */
  timeoutSeconds?: number
  /** The node that will be away: nobody who decides may be on it. */
  takesAway?: 'source' | 'destination'
}

type Side = 'source' | 'destination'
const AGAIN_MS = 3

/** `ps -o comm,args` of what may be killed. Shells that run them are none of them. */
const VICTIMS = {
  agent: /^(?!sh ).* \/app\/src\/main\.js agent /,
  controller: /^(?!sh ).* \/app\/src\/main\.js controller /,
  criu: /^criu /,
  runc: /^runc .*(checkpoint|restore) /,
  wrapper: /^podferry-runc .* create /,
  keeper: /^(?!sh ).*\/app\/src\/agent\/pages\/main\.js/,
} as const

/** Kills what is there, as soon as it is there. */
const killing =
  (victim: keyof typeof VICTIMS, side: Side | 'anywhere') =>
  async (field: Field, step: Step): Promise<Struck | undefined> => {
    const nodes = side === 'anywhere' ? NODES : [field[side]]
    do {
      const found = await Promise.all(nodes.map((name) => processesOf(name, VICTIMS[victim])))
      if ((await killAll(found.flat())) > 0) {
        void restartSoon()
        return {}
      }
      await sleep(AGAIN_MS)
    } while (!isPast(field, step))
    return undefined
  }

const isPast = (field: Field, step: Step): boolean => {
  const next = STEPS[STEPS.indexOf(step) + 1]
  return (
    field.place() === 'over' || field.place() === 'undoing' || (next !== undefined && hasReached(field.place(), next))
  )
}

/** With what the journal says then: the table goes by it. */
async function killSourceAgent(field: Field, step: Step): Promise<Struck | undefined> {
  const struck = await killing('agent', 'source')(field, step)
  if (struck === undefined) return undefined
  const path = `${await node(field.source).root()}${LIVE_JOURNAL_FOLDER}/${field.migration.metadata.uid}.json`
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return { ...struck, journal: text === undefined ? 'none' : entrySchema.parse(JSON.parse(text)).step }
}

const entrySchema = z.object({ step: z.enum(['preparing', 'dumping', 'fenced', 'failed']) })

const killingPart = (which: NodePart, side: Side) => async (field: Field) => {
  await node(field[side]).kill(which)
  return {}
}

/** The cable is out for so long, whatever happens meanwhile. */
const cutting = (side: Side, seconds: number) => async (field: Field) => {
  const { cut, join } = node(field[side])
  await cut()
  const joined = sleep(seconds * 1000).then(join)
  return { meanwhile: joined, cure: () => joined }
}

const filling = (name: BlowName, side: Side): Blow => ({
  name,
  prepare: async (nodes) => makeSmallDisks(nodes[side]),
  async land(field) {
    await fillDisks(field[side])
    return { cure: () => emptyDisks(field[side]) }
  },
  repair: async (nodes) => removeSmallDisks(nodes[side]),
  patience: 300,
  timeoutSeconds: 60,
})

async function silenceApiServer(): Promise<Struck> {
  await part('apiserver').pause()
  const resumed = sleep(20_000).then(() => part('apiserver').resume())
  return { meanwhile: resumed, cure: () => resumed }
}

/** Longer than every patience of the protocol, which is 60 s. */
const FOR_GOOD_S = 75

export const BLOWS: readonly Blow[] = [
  { name: 'source agent killed', land: killSourceAgent },
  { name: 'destination agent killed', land: killing('agent', 'destination') },
  { name: 'controller killed', land: killing('controller', 'anywhere') },
  { name: 'criu killed at the source', land: killing('criu', 'source') },
  { name: 'criu killed at the destination', land: killing('criu', 'destination') },
  { name: 'runc killed at the source', land: killing('runc', 'source') },
  { name: 'runc killed at the destination', land: killing('runc', 'destination') },
  { name: 'wrapper killed', land: killing('wrapper', 'destination') },
  { name: 'page keeper killed at the source', land: killing('keeper', 'source') },
  { name: 'page keeper killed at the destination', land: killing('keeper', 'destination') },
  { name: 'containerd killed at the source', land: killingPart('containerd', 'source') },
  { name: 'containerd killed at the destination', land: killingPart('containerd', 'destination') },
  { name: 'kubelet killed at the source', land: killingPart('kubelet', 'source') },
  { name: 'kubelet killed at the destination', land: killingPart('kubelet', 'destination') },
  { name: 'link of the destination cut for 1 s', land: cutting('destination', 1) },
  { name: 'link of the source cut for 30 s', land: cutting('source', 30), patience: 240 },
  { name: 'link of the destination cut for 30 s', land: cutting('destination', 30), patience: 240 },
  { name: 'link of the source cut for good', land: cutting('source', FOR_GOOD_S), patience: 300, timeoutSeconds: 60 },
  {
    name: 'link of the destination cut for good',
    land: cutting('destination', FOR_GOOD_S),
    patience: 300,
    timeoutSeconds: 60,
  },
  { name: 'API server silent for 20 s', land: silenceApiServer, patience: 240 },
  filling('disk full at the source', 'source'),
  filling('disk full at the destination', 'destination'),
  { name: 'destination stopped and started', land: stopForMoments('destination'), patience: 300 },
  { name: 'source stopped and started', land: stopForMoments('source'), patience: 300 },
  {
    name: 'destination stopped for good',
    land: stopForGood('destination'),
    patience: 300,
    timeoutSeconds: 45,
    takesAway: 'destination',
  },
  {
    name: 'source stopped for good',
    land: stopForGood('source'),
    patience: 300,
    timeoutSeconds: 45,
    takesAway: 'source',
  },
]
