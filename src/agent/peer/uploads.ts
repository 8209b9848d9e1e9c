/** The archives that are coming in right now: at most one a container, the newest. */

interface Upload {
  /** Aborts when a newer upload takes over or nobody wants the archive any more. */
  readonly signal: AbortSignal
  /** The upload is over, well or not. */
  end(): void
}

interface Entry {
  abort: AbortController
  ended: Promise<void>
}

/** Memory only: after a restart there are no uploads, and that is the truth. */
export class Uploads {
  readonly #active = new Map<string, Map<string, Entry>>()
  readonly #endedAt = new Map<string, number>()

  /** Takes over from an upload of the same container; resolves when that one has let go. */
  async begin(migrationUID: string, container: string): Promise<Upload> {
    const containers = this.#active.get(migrationUID) ?? new Map<string, Entry>()
    this.#active.set(migrationUID, containers)
    const older = containers.get(container)
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const entry: Entry = { abort: new AbortController(), ended }
    containers.set(container, entry)
    older?.abort.abort(new Error('a newer upload of this container has taken over'))
    await older?.ended
    return {
      signal: entry.abort.signal,
      end: () => {
        this.#endedAt.set(migrationUID, performance.now())
        if (containers.get(container) === entry) containers.delete(container)
        if (containers.size === 0 && this.#active.get(migrationUID) === containers) this.#active.delete(migrationUID)
        resolve()
      },
    }
  }

  isActive(migrationUID: string): boolean {
    return this.#active.has(migrationUID)
  }

  /** Milliseconds since the last upload ended; undefined when there was none in this process's life. */
  sinceLast(migrationUID: string): number | undefined {
    const endedAt = this.#endedAt.get(migrationUID)
    return endedAt === undefined ? undefined : performance.now() - endedAt
  }

  /** Ends all uploads of a Migration; resolves when they have let go of the registry. */
  async abort(migrationUID: string): Promise<void> {
    const entries = [...(this.#active.get(migrationUID)?.values() ?? [])]
    for (const { abort } of entries) abort.abort(new Error('the Migration does not want this archive any more'))
    await Promise.all(entries.map(({ ended }) => ended))
    this.#endedAt.delete(migrationUID)
  }
}
