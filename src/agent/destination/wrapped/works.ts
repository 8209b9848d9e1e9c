/** Long work for a Migration that its handler looks after without waiting for it. */

export interface Works {
  /** Begins it, unless it was begun. @returns how it stands; what it failed with comes as an error */
  look(podUID: string, work: (signal: AbortSignal) => Promise<void>): 'running' | 'done' | { failed: unknown }
  /** Breaks it off and forgets it. Resolves when nothing of it runs any more. */
  end(podUID: string): Promise<void>
}

interface Work {
  stands: ReturnType<Works['look']>
  ended: Promise<void>
  abort: AbortController
}

export function createWorks(): Works {
  const known = new Map<string, Work>()

  const begin = (work: Parameters<Works['look']>[1]): Work => {
    const abort = new AbortController()
    const begun: Work = { stands: 'running', abort, ended: Promise.resolve() }
    begun.ended = work(abort.signal).then(
      () => {
        begun.stands = 'done'
      },
      (failed) => {
        begun.stands = { failed }
      },
    )
    return begun
  }

  return {
    look(podUID, work) {
      const found = known.get(podUID) ?? begin(work)
      known.set(podUID, found)
      return found.stands
    },
    async end(podUID) {
      const found = known.get(podUID)
      found?.abort.abort(new Error('it is not wanted any more'))
      await found?.ended
      known.delete(podUID)
    },
  }
}
