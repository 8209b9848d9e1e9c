/** Work on one thing, one piece after another; work on other things goes on beside it. */

export type InTurn = <T>(thing: string, work: () => Promise<T>) => Promise<T>

export function createTurns(): InTurn {
  const last = new Map<string, Promise<unknown>>()
  return (thing, work) => {
    const mine = (last.get(thing) ?? Promise.resolve()).then(work)
    const over = mine
      .catch(() => {})
      .then(() => {
        if (last.get(thing) === over) last.delete(thing)
      })
    last.set(thing, over)
    return mine
  }
}
