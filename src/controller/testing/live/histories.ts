/**
 * Random histories, made as they are played: a hundred thousand of them in seconds. A history is its list of moves, so that one
 * that breaks an invariant can be played again and made shorter.
 */
import { isDestinationLost } from '../../../api/conditions.ts'
import { createLiveModel, FORWARD } from '../live-model.ts'
import type { Bugs } from './bugs.ts'
import { checkSettled, checkStep } from './checks.ts'
import { mend } from './outside.ts'
import type { World } from './world.ts'

export interface Failure {
  moves: string[]
  error: Error
}

/** mulberry32: small, quick, and the same on every machine. */
function random(seed: number): (below: number) => number {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

/** A move is its place in this list: looking functions up by name would cost more than the moves themselves. */
const NAMES = Object.keys(createLiveModel().moves)
const placeOf = (name: string) => NAMES.indexOf(name)
const IN_ORDER = FORWARD.map(placeOf)
const RECOVER = placeOf('recover')
const POWER_ON = placeOf('powerOn')
/** Two controllers that look and act at different moments are where races live. */
const CHAOS = [...NAMES, ...FORWARD, 'look0', 'act0', 'look1', 'act1'].map(placeOf)
/** After so many rounds of everybody's moves an undisturbed migration has ended. */
const ROUNDS = 7
const MAX_CHAOS = 50
const SETTLE_ROUNDS = 80

/**
 * Begins in order, to get somewhere, and goes on in chaos. In each history only some moves are made, so that in many an actor
 * sleeps while the others go far.
 */
function history(seed: number): number[] {
  const next = random(seed)
  const moves: number[] = []
  const orderly = next(ROUNDS * IN_ORDER.length)
  for (let i = 0; i < orderly; i++) moves.push(IN_ORDER[i % IN_ORDER.length] ?? 0)
  const palette = Array.from({ length: 3 + next(40) }, () => CHAOS[next(CHAOS.length)] ?? 0)
  for (let i = next(MAX_CHAOS); i > 0; i--) moves.push(palette[next(palette.length)] ?? 0)
  return moves
}

interface Options {
  bugs: Bugs
  /** What ends an outage that lasts: a person's word, else the node itself. */
  byPerson: boolean
  owner: 'none' | 'ReplicaSet'
}

/** @returns the error that a history ends in */
function play(history: readonly number[], { bugs, byPerson, owner }: Options): Error | undefined {
  const { world, moves } = createLiveModel(bugs, owner)
  const all = NAMES.map((name) => moves[name])
  const step = (move: number) => {
    const before = world.status
    all[move]?.()
    checkStep(world, before)
  }
  try {
    for (const move of history) step(move)
    settle(world, step, byPerson)
    checkSettled(world)
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** Everybody works undisturbed for long enough. */
function settle(world: World, step: (move: number) => void, byPerson: boolean): void {
  mend(world)
  for (let round = 0; round < SETTLE_ROUNDS && world.migration?.metadata.finalizers?.length; round++) {
    if (world.destination.node === 'off') {
      if (byPerson && isDestinationLost(world.status)) step(RECOVER)
      // Where nobody asks a person, the node is waited for, be it only to be clean.
      else if (!byPerson || round > SETTLE_ROUNDS / 4) step(POWER_ON)
    }
    for (const move of IN_ORDER) step(move)
  }
  step(POWER_ON)
  // What comes late goes late.
  for (let round = 0; round < 3; round++) for (const move of IN_ORDER) step(move)
}

/** @returns the first history of `runs` that breaks an invariant, shortened */
export function search(runs: number, bugs: Bugs = {}, firstSeed = 1): Failure | undefined {
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const options = { bugs, byPerson: seed % 2 === 0, owner: seed % 4 < 2 ? 'none' : 'ReplicaSet' } as const
    const moves = history(seed)
    const error = play(moves, options)
    if (error) return shorten(moves, options, error)
  }
  return undefined
}

/** Leaves out what is not needed for an invariant to break. */
function shorten(moves: readonly number[], options: Options, error: Error): Failure {
  let [left, last] = [moves, error]
  for (let size = Math.ceil(moves.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < left.length; ) {
      const fewer = left.toSpliced(at, size)
      const again = play(fewer, options)
      if (again) [left, last] = [fewer, again]
      else at += size
    }
  }
  return { moves: left.map((move) => NAMES[move] ?? ''), error: last }
}
