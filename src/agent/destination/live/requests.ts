/** The requests of source agents that are being served right now, so that whoever decides can end them first. */

interface Served {
  abort: AbortController
  ended: Promise<unknown>
}

/** Memory only: after a restart there are none, and the peer server asks the API server before it lets one in. */
export class Requests {
  readonly #served = new Map<string, Map<string, Served>>()
  readonly #closed = new Set<string>()

  /**
   * Takes over from an older request for the same thing, and begins when that one has let go.
   *
   * @param work gets a signal that also aborts when it is taken over or the Migration is closed
   * @throws Error when the Migration is closed
   */
  async run<T>(uid: string, thing: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed.has(uid)) throw decided()
    const served = this.#served.get(uid) ?? new Map<string, Served>()
    this.#served.set(uid, served)
    const older = served.get(thing)
    const abort = new AbortController()
    const either = AbortSignal.any([signal, abort.signal])
    const begin = async () => {
      await older?.ended
      either.throwIfAborted()
      return await work(either)
    }
    older?.abort.abort(new Error('a newer request for the same thing has taken over'))
    const working = begin()
    const mine: Served = { abort, ended: working.catch(() => {}) }
    served.set(thing, mine)
    try {
      return await working
    } finally {
      if (served.get(thing) === mine) served.delete(thing)
    }
  }

  /** From now on nothing is accepted; resolves when nothing is being served. */
  async close(uid: string): Promise<void> {
    this.#closed.add(uid)
    const served = [...(this.#served.get(uid)?.values() ?? [])]
    for (const { abort } of served) abort.abort(decided())
    await Promise.all(served.map(({ ended }) => ended))
  }

  forget(uid: string): void {
    this.#served.delete(uid)
    this.#closed.delete(uid)
  }
}

const decided = () => new Error('the Migration is decided: nothing is wanted any more')
