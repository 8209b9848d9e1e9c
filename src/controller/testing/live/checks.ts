/** The invariants of design.md, section 2, as far as they show in the model. */
import { isFalse, isFinished, isTrue, truth } from '../../../api/conditions.ts'
import type { MigrationStatus } from '../../../api/migration.ts'
import { checkOwner } from './owner.ts'
import type { World } from './world.ts'

const REGISTERS = ['Committed', 'Restored', 'Delivered'] as const

const runsAtSource = ({ source: { process } }: World) => process === 'running' || process === 'cold'

function runsAtDestination({ destination }: World): boolean {
  for (const { process, wrapper } of destination.arrivals)
    if (process === 'running' || process === 'cold' || wrapper === 'restoring') return true
  return false
}

/** `assert` costs too much where it is asked some ten million times. */
function ensure(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

/** After every move. */
export function checkStep(world: World, before: MigrationStatus | undefined): void {
  const { status, source, migration } = world
  const runs = runsAtDestination(world)
  ensure(!(runs && runsAtSource(world)), 'two copies run')
  ensure(source.process !== 'cold', 'the source was started afresh')
  if (runs && migration) ensure(isTrue(status, 'Committed'), 'the destination runs without a commit')
  if (status === before || !migration) return
  for (const register of REGISTERS) {
    const was = truth(before, register)
    if (was !== 'Unknown') ensure(truth(status, register) === was, `${register} changed after it was decided`)
  }
  if (isFinished(status)) checkEnd(world)
}

function checkEnd({ status, source, destination, personSpoke }: World): void {
  ensure(isTrue(status, 'Failed') !== isTrue(status, 'Succeeded'), 'Failed must mirror Succeeded')
  if (isTrue(status, 'Succeeded'))
    ensure(isTrue(status, 'Restored') && isTrue(status, 'Delivered'), 'success without state')
  else ensure(status?.failure !== undefined, 'a failure without a reason')
  ensure(source.process !== 'frozen', 'a frozen source is left behind')
  ensure(source.journal === undefined, 'a journal entry is left behind')
  ensure(source.dump === 'none' && source.keeper === 'none', 'a dump or its keeper is left behind')
  // Where a person has spoken for the node, its agent cleans up when it is back.
  ensure(personSpoke || destination.staging.size === 0, 'a staging folder is left behind')
}

/** When everybody has worked undisturbed for long enough. */
export function checkSettled(world: World): void {
  const { migration, status } = world
  const { source, destination } = world
  if (migration && !isFinished(status)) throw new Error(`never ends: ${JSON.stringify(status?.conditions)}`)
  ensure(destination.staging.size === 0, 'a staging folder is left behind')
  ensure(!migration || migration.metadata.finalizers?.length === 0, 'a finalizer is left behind')
  checkOwner(world)
  if (world.userDeletedPod) return
  if (migration && isFalse(status, 'Succeeded')) ensure(!world.destinationPod, 'a pod is left behind')
  if (world.stateLost || runsAtSource(world) !== runsAtDestination(world)) return
  throw new Error(`live copies: source ${source.process}, destination ${JSON.stringify(destination.arrivals)}`)
}
