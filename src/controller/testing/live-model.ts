/**
 * A model of a migration in mode Live: API server, two controllers with old views, both agents, CRIU, page keepers, the wrapper,
 * kubelets, people, power and network. Controller and agents decide by their real plans and write by their real reports.
 */
import { controllerMoves } from './live/api-server.ts'
import type { Bugs } from './live/bugs.ts'
import { destinationMoves } from './live/destination.ts'
import { kubeletMoves } from './live/kubelet.ts'
import { clockMoves, disturbances } from './live/outside.ts'
import { ownerMoves } from './live/owner.ts'
import { sourceMoves } from './live/source.ts'
import { type Moves, World } from './live/world.ts'

/** The moves by which an undisturbed migration comes to its end, in an order that makes few rounds of it. */
export const FORWARD = [
  ...[
    'look0',
    'act0',
    'replicaSet',
    'replicaSet',
    'kubeletDestination',
    'destinationAgent',
    'sourceAgent',
    'sourceTask',
    'criuServes',
    'sourceTask',
    'sourceTask',
  ],
  ...[
    'look1',
    'act1',
    'destinationAgent',
    'sourceTask',
    'wrapper',
    'destinationAgent',
    'wrapper',
    'pagesFlow',
    'farewell',
  ],
  ...[
    'sourceAgent',
    'sourceTask',
    'kubeletSource',
    'restartContainer',
    'sweep',
    'probes',
    'replicaSet',
    'heartbeat',
    'wait',
  ],
]

export interface LiveModel {
  world: World
  moves: Moves
}

export function createLiveModel(bugs: Bugs = {}, owner: 'none' | 'ReplicaSet' = 'none'): LiveModel {
  const world = new World(bugs, owner)
  const moves = {
    ...controllerMoves(world),
    ...kubeletMoves(world),
    ...destinationMoves(world),
    ...sourceMoves(world),
    ...ownerMoves(world),
    ...clockMoves(world),
    ...disturbances(world),
  }
  return { world, moves }
}
