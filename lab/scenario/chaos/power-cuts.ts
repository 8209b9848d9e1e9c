/** A node whose power is cut: it comes back by itself, or a person has to decide about the Migration first. */
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDestinationLost, isFinished, rollbackCause } from '../../../src/api/conditions.ts'
import type { Migration } from '../../../src/api/migration.ts'
import { MIGRATIONS } from '../../../src/api/resources.ts'
import { recover } from '../../../src/cli/commands/recover.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import { node } from '../../cluster.ts'
import type { Struck } from './blows.ts'
import type { Field } from './field.ts'

type Side = 'source' | 'destination'

/** A quick reboot. */
const MOMENTS_MS = 3_000
/** Longer than every patience, which is 60 s. */
const FOR_GOOD_MS = 75_000
const LOOK_MS = 500

async function stop(field: Field, side: Side): Promise<NonNullable<Struck['powerCut']>> {
  const at = Date.now()
  await node(field[side]).stop()
  return { node: field[side], at, offAt: Date.now() }
}

export const stopForMoments =
  (side: Side) =>
  async (field: Field): Promise<Struck> => {
    const powerCut = await stop(field, side)
    const started = sleep(MOMENTS_MS).then(() => node(field[side]).start())
    return { powerCut, meanwhile: started, cure: () => started }
  }

/**
 * The node stays off until all is said that can be said without it: a migration that has ended, was given up, or is lost to a person,
 * who then gives their word; the node comes back after that, so that what it finds can be judged.
 */
export const stopForGood =
  (side: Side) =>
  async (field: Field): Promise<Struck> => {
    const powerCut = await stop(field, side)
    const meanwhile = untilSaid(field, side).finally(() => node(field[side]).start())
    return { powerCut, meanwhile, cure: () => meanwhile }
  }

async function untilSaid({ client, migration }: Field, side: Side): Promise<void> {
  const { namespace, name } = migration.metadata
  let isAsked = false
  for (const end = Date.now() + FOR_GOOD_MS; ; await sleep(LOOK_MS)) {
    const { status } = await client.get(MIGRATIONS, namespace, name)
    if (isFinished(status)) return
    if (side === 'destination' && isDestinationLost(status) && !isAsked) {
      isAsked = true
      await giveWord(client, migration)
    }
    // Before the commit nobody is asked: the node is waited for, to be cleaned.
    if (rollbackCause(status) && !isAsked) return
    if (Date.now() > end && !isAsked) return
    if (Date.now() > end + FOR_GOOD_MS) throw new Error(`${name} does not end after a person's word`)
  }
}

/** As a person does it. */
async function giveWord(client: KubeClient, { metadata: { namespace = 'default', name } }: Migration): Promise<void> {
  const silent = new PassThrough().resume()
  const io = {
    stdout: silent,
    stderr: silent,
    now: () => new Date(),
    catchInterrupt: () => new AbortController().signal,
    program: 'podferry',
  }
  // Its own client is closed after the command.
  const session = { client: { ...client, close: () => {} }, namespace, timeoutMs: 10_000 }
  await recover(name, { resumeSource: true, yes: true }, io, async () => session)
}
