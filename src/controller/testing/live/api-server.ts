/** Two controllers, whose views may be old, and what the API server makes of their plans. */
import { condition, isFalse, isTrue, rollbackCause, truth, withCondition } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import { RECOVER_ANNOTATION } from '../../../api/names.ts'
import { isReleased, releaseMarks, returnMarks } from '../../owner.ts'
import { plan } from '../../plan.ts'
import { type NewPod, waitingPod } from '../../pods.ts'
import type { Snapshot } from '../../snapshot.ts'
import type { Command, Plan } from '../../step.ts'
import { mark } from './owner.ts'
import { DESTINATION, type Moves, SOURCE, type World } from './world.ts'

const BOTH: ReadonlySet<string> = new Set([SOURCE, DESTINATION])
const NONE: ReadonlySet<string> = new Set()

export function controllerMoves(world: World): Moves {
  const seen: (Snapshot | undefined)[] = [undefined, undefined]
  const look = (controller: 0 | 1) => () => {
    const { migration, sourcePod, destinationPod } = world
    const others = {
      rivals: [],
      pullPod: undefined,
      owner: world.replicaSet,
      webhook: webhookOf(world),
      agents: BOTH,
      registries: NONE,
    }
    seen[controller] = migration && { migration, sourcePod, destinationPod, nodes: world.nodes(), ...others }
  }
  const act = (controller: 0 | 1) => () => {
    const snapshot = seen[controller]
    seen[controller] = undefined
    if (!snapshot || !world.migration) return
    const { status, commands } = decide(world, snapshot)
    if (status && isCurrent(world, snapshot)) world.replace(status)
    for (const command of commands ?? []) carryOut(world, command, snapshot)
  }
  return { look0: look(0), act0: act(0), look1: look(1), act1: act(1) }
}

const webhookOf = ({ replicaSet, webhookUp }: World): Snapshot['webhook'] =>
  replicaSet && (webhookUp ? 'alive' : { dead: 'it does not answer' })

const isCurrent = ({ migration }: World, seen: Snapshot) =>
  migration?.metadata.resourceVersion === seen.migration.metadata.resourceVersion

/** The real plan; with a bug, that of a controller which believes something else. */
function decide(world: World, snapshot: Snapshot): Plan {
  const { bugs } = world
  const { status } = snapshot.migration
  const now = new Date(world.now)
  const believing = (change: Partial<MigrationStatus>) =>
    plan({ ...snapshot, migration: { ...snapshot.migration, status: { ...status, ...change } } }, now)
  if (bugs.sourceDeletedEarly && isTrue(status, 'Restored') && truth(status, 'Delivered') === 'Unknown') {
    const { commands } = believing(set(status, 'Delivered', 'True'))
    return commands ? { commands } : {}
  }
  if (bugs.createdAgain && isFalse(status, 'Committed') && !snapshot.destinationPod && snapshot.sourcePod)
    return {
      commands: [{ do: 'createPod', role: 'destination', pod: waitingPod(snapshot.migration, snapshot.sourcePod) }],
    }
  const marked = bugs.releaseUnwritten || bugs.handedBackEarly ? markedAmiss(bugs, snapshot) : undefined
  if (marked) return marked
  if (bugs.lateOverlooked && isFalse(status, 'Committed')) return plan({ ...snapshot, destinationPod: undefined }, now)
  const asked = snapshot.migration.metadata.annotations?.[RECOVER_ANNOTATION] !== undefined
  if (asked && bugs.recoverAnytime) return byAnyWord(snapshot, world.time()) ?? plan(snapshot, now)
  if (asked && bugs.forgottenWord) return byOldWord(snapshot, now)
  return plan(snapshot, now)
}

function markedAmiss(bugs: World['bugs'], { migration, sourcePod: pod }: Snapshot): Plan | undefined {
  const { status } = migration
  const { owner, releasedAt } = status?.source ?? {}
  if (!pod || !owner) return undefined
  if (bugs.releaseUnwritten && isTrue(status, 'Accepted') && !releasedAt)
    return { commands: [{ do: 'markPod', why: 'release', pod, marks: releaseMarks(migration, pod) }] }
  if (bugs.handedBackEarly && rollbackCause(status) && isReleased(migration, pod))
    return { commands: [{ do: 'markPod', why: 'handBack', pod, marks: returnMarks(owner) }] }
  return undefined
}

const set = (status: MigrationStatus | undefined, type: 'Delivered' | 'Restored', value: 'True' | 'False') =>
  withCondition(
    status ?? {},
    { type, status: value, reason: 'RecoveredByPerson', message: 'a bug' },
    '2026-01-01T00:00:00Z',
  )

function byAnyWord({ migration: { status } }: Snapshot, at: string): Plan | undefined {
  if (!status?.destination || !isTrue(status, 'Committed')) return undefined
  const type = truth(status, 'Restored') === 'Unknown' ? 'Restored' : 'Delivered'
  if (truth(status, type) !== 'Unknown') return undefined
  const destination = { ...status.destination, removedAt: at, cleanedAt: at }
  return { status: { ...set(status, type, 'False'), destination } }
}

/** The word is neither thrown away nor bound to the outage that it was said of. */
function byOldWord(snapshot: Snapshot, now: Date): Plan {
  const { status } = snapshot.migration
  const isLost = (['Restored', 'Delivered', 'Succeeded'] as const).some(
    (type) => condition(status, type)?.reason === 'DestinationLost',
  )
  const away = snapshot.nodes.some((node) => node.status?.conditions?.some(({ status: value }) => value !== 'True'))
  const word = isLost && away ? byAnyWord(snapshot, now.toISOString()) : undefined
  if (word) return word
  const { [RECOVER_ANNOTATION]: _word, ...annotations } = snapshot.migration.metadata.annotations ?? {}
  const metadata = { ...snapshot.migration.metadata, annotations }
  return plan({ ...snapshot, migration: { ...snapshot.migration, metadata } }, now)
}

function carryOut(world: World, command: Command, snapshot: Snapshot) {
  const { migration } = world
  if (!migration) return
  switch (command.do) {
    case 'removeFinalizer':
      world.touch({ finalizers: [] })
      if (migration.metadata.deletionTimestamp) world.migration = undefined
      return
    case 'dropRecovery':
      if (isCurrent(world, snapshot)) world.touch({ annotations: {} })
      return
    case 'createPod':
      return create(world, command.pod)
    case 'markPod':
      return mark(world, command)
    case 'deletePod':
      for (const slot of ['sourcePod', 'destinationPod'] as const)
        if (world[slot]?.metadata.uid === command.uid) deletePod(world, slot, command.graceSeconds === 0)
  }
}

function create(world: World, pod: NewPod) {
  if (world.destinationPod) return
  const { name } = pod.metadata
  const version = world.nextVersion()
  const stored = { name, uid: `uid-${version}`, resourceVersion: '1', creationTimestamp: world.time() }
  world.destinationPod = { ...pod, metadata: { ...pod.metadata, ...stored }, status: { phase: 'Pending' } }
}

/** By force: the API server forgets it at once, kubelet later. */
export function deletePod(world: World, slot: 'sourcePod' | 'destinationPod', force: boolean) {
  const pod = world[slot]
  if (!pod) return
  world[slot] = force ? undefined : { ...pod, metadata: { ...pod.metadata, deletionTimestamp: world.time() } }
}
