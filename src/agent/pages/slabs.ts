/** Memory that is used again: at hundreds of MiB a second the garbage collector would come too late, and a keeper must stay small. */

export interface Slabs {
  readonly size: number
  take(): Buffer
  /** Nobody looks at it any more. */
  give(slab: Buffer): void
}

/** @param spare how many unused ones are kept */
export function createSlabs(size: number, spare: number): Slabs {
  const free: Buffer[] = []
  return {
    size,
    take: () => free.pop() ?? Buffer.allocUnsafeSlow(size),
    give(slab) {
      if (free.length < spare) free.push(slab)
    },
  }
}
