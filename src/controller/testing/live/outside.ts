/** What comes from outside: people, power, the network, time. */
import { isDestinationLost, isTrue } from '../../../api/conditions.ts'
import { CANCEL_ANNOTATION, RECOVER_ANNOTATION, RESUME_SOURCE } from '../../../api/names.ts'
import { deletePod } from './api-server.ts'
import { forget as forgetDestination } from './destination.ts'
import { forget as forgetSource } from './source.ts'
import type { Moves, World } from './world.ts'

/** Time, and what the cluster itself sees; goes on in any case. */
export function clockMoves(world: World): Moves {
  return {
    heartbeat: () => {
      const ready = world.destination.node === 'up'
      if (ready === world.ready) return
      world.ready = ready
      world.changes++
    },
    wait: () => {
      world.pass(7_000)
    },
  }
}

export function disturbances(world: World): Moves {
  const { destination } = world
  const annotate = (key: string, value: string) => () => {
    const annotations = world.migration?.metadata.annotations
    world.touch({ annotations: { ...annotations, [key]: value } })
  }
  const userDeletes = (slot: 'sourcePod' | 'destinationPod', force: boolean) => () => {
    const pod = world[slot]
    if (!pod || (pod.metadata.deletionTimestamp && !force)) return
    world.userDeletedPod = true
    deletePod(world, slot, force)
  }
  return {
    cancel: annotate(CANCEL_ANNOTATION, 'user'),
    deleteMigration: () => world.touch({ deletionTimestamp: world.time() }),
    deleteSource: userDeletes('sourcePod', false),
    deleteDestination: userDeletes('destinationPod', false),
    forceDestination: userDeletes('destinationPod', true),
    recover: () => {
      // An honest person: of a lost node only when it is off; anybody may give the word too early, by mistake.
      const lost = isDestinationLost(world.status)
      if (!world.status || lost !== (destination.node === 'off')) return
      annotate(RECOVER_ANNOTATION, RESUME_SOURCE)()
      world.personSpoke = true
    },
    cutLink: () => {
      world.linkCut = true
    },
    cutNode: () => {
      if (destination.node === 'up') destination.node = 'cut'
    },
    mend: () => mend(world),
    powerOff: () => powerOff(world),
    powerOn: () => {
      if (destination.node === 'off') destination.node = 'up'
    },
    rebootSource: () => rebootSource(world),
    longWait: () => {
      world.pass(700_000)
    },
  }
}

export function mend(world: World): void {
  world.linkCut = false
  if (world.destination.node === 'cut') world.destination.node = 'up'
}

/** All of /run and all that ran is gone. */
function powerOff(world: World): void {
  const { destination, status } = world
  // From Delivered on, the destination alone has the state.
  if (isTrue(status, 'Delivered') || destination.arrivals.some(({ process }) => process === 'cold'))
    world.stateLost = true
  destination.node = 'off'
  destination.arrivals = []
  destination.staging.clear()
  destination.marks.clear()
  forgetDestination(world)
}

function rebootSource(world: World): void {
  const { source } = world
  if (source.process === 'dead') return
  source.process = 'lost'
  source.dump = 'none'
  source.keeper = 'none'
  forgetSource(source)
  world.stateLost = true
}
