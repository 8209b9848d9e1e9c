/** Which blow at which step comes next: seeded, and every pair before any comes twice. Pure. */
import { BLOWS, type Blow } from './blows.ts'
import { canHit } from './expectations.ts'
import { STEPS, type Step } from './steps.ts'

export interface Aim {
  blow: Blow
  step: Step
  /** The blow begins so long after the step was reached, in milliseconds. */
  delayMs: number
}

/** About as long as a step takes with the ledger, so that every moment of it is hit. */
const LENGTH_MS: Record<Step, number> = {
  opening: 700,
  copying: 250,
  staging: 60,
  restoring: 120,
  paging: 700,
  removing: 300,
}
/** A pair that was missed so often in this run is not tried any more: there was nothing to hit. */
const MISSES = 3

/** What is hard to hit must not keep all others waiting: that often missed counts as once tried. */
const turns = ({ hits, misses }: { hits: number; misses: number }): number => hits + Math.floor(misses / MISSES)

/** Mulberry32, so that a seed repeats its runs. @returns numbers from 0 to 1 */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export interface Planner {
  /** @returns undefined when nothing is left that can be hit */
  next(): Aim | undefined
  /** @param steps at which the blow has landed; none: it did not hit */
  landed(aim: Aim, steps: readonly Step[]): void
  /** Pairs that can be hit by the design's tables and were not. */
  open(): string[]
}

interface Pair {
  blow: Blow
  step: Step
  hits: number
  misses: number
}

/**
 * @param only part of `BLOW while STEP`
 * @param skip of the pairs in their drawn order so many count as hit: what earlier slices of the same seed have done
 */
export function createPlanner({ seed, only = '', skip = 0 }: { seed: number; only?: string; skip?: number }): Planner {
  const draw = random(seed)
  const pairs: Pair[] = BLOWS.flatMap((blow) => STEPS.map((step) => ({ blow, step, hits: 0, misses: 0 })))
    .filter(({ blow, step }) => canHit(blow.name, step) && nameOf({ blow, step }).includes(only))
    .map((pair) => ({ pair, at: draw() }))
    .sort((a, b) => a.at - b.at)
    .map(({ pair }) => pair)
  for (let hit = 0; hit < skip; hit++) {
    const pair = pairs[hit % pairs.length]
    if (pair) pair.hits++
  }
  const find = ({ blow, step }: Pick<Aim, 'blow' | 'step'>) =>
    pairs.find((pair) => pair.blow === blow && pair.step === step)

  return {
    next() {
      const possible = pairs.filter(({ hits, misses }) => hits > 0 || misses < MISSES)
      const fewest = Math.min(...possible.map(turns))
      const pair = possible.find((candidate) => turns(candidate) === fewest)
      return pair && { blow: pair.blow, step: pair.step, delayMs: Math.round(draw() * LENGTH_MS[pair.step]) }
    },
    landed({ blow, step }, steps) {
      const aimed = find({ blow, step })
      // Where it has landed counts: on the border between two steps, for the one that was aimed at.
      const hit = steps.includes(step) ? aimed : steps[0] && find({ blow, step: steps[0] })
      if (hit) hit.hits++
      if (hit !== aimed && aimed) aimed.misses++
    },
    open: () => pairs.filter(({ hits }) => hits === 0).map(nameOf),
  }
}

export const nameOf = ({ blow, step }: Pick<Aim, 'blow' | 'step'>): string => `${blow.name} while ${step}`
