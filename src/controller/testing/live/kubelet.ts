/** The destination's kubelet and the OCI runtime's wrapper. */
import type { Arrival, Moves, World } from './world.ts'

export function kubeletMoves(world: World): Moves {
  const each = (step: (arrival: Arrival) => void) => () => {
    if (world.destination.node !== 'off') for (const arrival of world.destination.arrivals) step(arrival)
  }
  return {
    kubeletDestination: () => sync(world),
    restartContainer: each((arrival) => {
      const ended = arrival.process === 'none' || arrival.process === 'dead'
      if (ended && (arrival.wrapper === 'none' || arrival.wrapper === 'refused')) create(world, arrival)
    }),
    wrapper: each((arrival) => goOn(world, arrival)),
    restoreFails: each((arrival) => {
      if (arrival.wrapper === 'restoring') failRestore(world, arrival)
    }),
    killWrapper: each((arrival) => {
      if (arrival.wrapper !== 'refused') arrival.wrapper = 'none'
    }),
    programEnds: each((arrival) => kill(world, arrival)),
  }
}

/** Follows the API server, when it sees it. */
function sync(world: World) {
  const { destination, destinationPod: pod } = world
  if (destination.node !== 'up') return
  const gone = destination.arrivals.find(({ uid }) => uid !== pod?.metadata.uid || pod.metadata.deletionTimestamp)
  if (gone) {
    kill(world, gone)
    destination.arrivals = destination.arrivals.filter((arrival) => arrival !== gone)
  } else if (pod?.metadata.deletionTimestamp) {
    world.destinationPod = undefined
  } else if (pod && destination.arrivals.length === 0) {
    const arrival: Arrival = { uid: pod.metadata.uid, wrapper: 'none', process: 'none' }
    destination.arrivals.push(arrival)
    create(world, arrival)
  }
}

/** The processes end. Without processes the daemon has nothing to do: it ends with 0, whatever was still missing. */
export function kill(world: World, arrival: Arrival) {
  const staging = world.destination.staging.get(arrival.uid)
  if (arrival.process === 'running' && staging?.lazy === 'running') staging.lazy = 'ok'
  if (arrival.process !== 'none') arrival.process = 'dead'
  if (arrival.wrapper === 'restoring') failRestore(world, arrival)
}

function failRestore(world: World, arrival: Arrival) {
  const staging = world.stagingOf(arrival.uid)
  arrival.wrapper = 'none'
  staging.outcome = 'failed'
  if (staging.lazy === 'running') staging.lazy = 'ok'
}

/** The wrapper's `create`, until it waits. */
function create(world: World, arrival: Arrival) {
  const { marks, staging } = world.destination
  const folder = staging.get(arrival.uid)
  arrival.wrapper = folder?.refused || (folder?.used && !marks.has(arrival.uid)) ? 'refused' : 'waiting'
  if (arrival.wrapper === 'waiting' && marks.has(arrival.uid)) start(world, arrival, 'cold')
}

function goOn(world: World, arrival: Arrival) {
  const staging = world.destination.staging.get(arrival.uid)
  if (arrival.wrapper === 'restoring' && staging) {
    if (staging.lazy !== 'running') return failRestore(world, arrival)
    staging.outcome = 'restored'
    return start(world, arrival, 'running')
  }
  if (arrival.wrapper !== 'waiting') return
  if (staging?.refused || staging?.gate === 'refuse' || staging?.used) arrival.wrapper = 'refused'
  else if (world.destination.marks.has(arrival.uid)) start(world, arrival, 'cold')
  else if (staging?.gate === 'restore') {
    // Only one can take the state, and only once.
    staging.used = true
    arrival.wrapper = 'restoring'
  }
}

function start(world: World, arrival: Arrival, process: 'running' | 'cold') {
  arrival.wrapper = 'none'
  arrival.process = process
  const pod = world.destinationPod
  if (world.destination.node === 'up' && pod?.metadata.uid === arrival.uid)
    world.destinationPod = { ...pod, status: { phase: 'Running' } }
}
