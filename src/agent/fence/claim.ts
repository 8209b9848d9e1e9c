/**
 * The race between the agent and the hook that CRIU runs, decided by one rename (docs/design/0001-image-mode.md, "The fence's claim").
 * Each file is named after the pod cgroup and holds the Migration's UID.
 */
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PodferryError } from '../../errors.ts'

/** What became of an announcement. */
export type Withdrawal = 'withdrawn' | 'claimed' | 'absent'

/** From the root of the node's file system; `runtime/criu-fence` has the same. */
export const FENCE_FOLDER = '/run/podferry/fence'

const places = ['announced', 'claimed', 'withdrawn'] as const
type Place = (typeof places)[number]

/** The announcements of one node. */
export class Claims {
  readonly #folder: string

  constructor(hostRoot: string) {
    this.#folder = join(hostRoot, FENCE_FOLDER)
  }

  /**
   * From now on a dump of this pod ends with its freeze.
   *
   * @throws PodferryError `PodBusy` when another Migration has announced or frozen the pod
   */
  async announce(name: string, migrationUID: string): Promise<void> {
    await this.#put('announced', name, migrationUID, 'claimed')
  }

  /**
   * Claims at once, for a freeze without the hook. Call it before the freeze: what is frozen without a claim, nobody would thaw.
   *
   * @throws PodferryError `PodBusy` when another Migration has announced or frozen the pod
   */
  async claim(name: string, migrationUID: string): Promise<void> {
    await this.#put('claimed', name, migrationUID, 'announced')
  }

  /** After this the hook does nothing more, or it has claimed already and a freeze follows. */
  async withdraw(name: string, migrationUID: string): Promise<Withdrawal> {
    if ((await this.#owner('announced', name)) === migrationUID) {
      try {
        await rename(this.#path('announced', name), this.#path('withdrawn', name))
        return 'withdrawn'
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error
      }
    }
    if (await this.isClaimed(name, migrationUID)) return 'claimed'
    return (await this.#owner('withdrawn', name)) === migrationUID ? 'withdrawn' : 'absent'
  }

  /** Whether a freeze that was announced for this Migration has happened or is about to. */
  async isClaimed(name: string, migrationUID: string): Promise<boolean> {
    return (await this.#owner('claimed', name)) === migrationUID
  }

  /** The Migration whose dump has frozen the pod, if any. */
  async claimant(name: string): Promise<string | undefined> {
    return await this.#owner('claimed', name)
  }

  /** Takes away what this Migration has left here, and only that. */
  async clear(name: string, migrationUID: string): Promise<void> {
    for (const place of places) {
      if ((await this.#owner(place, name)) === migrationUID) await rm(this.#path(place, name), { force: true })
    }
    // Of an agent that was killed while it announced or claimed.
    await rm(this.#draft(migrationUID), { force: true })
  }

  async #put(place: Place, name: string, migrationUID: string, elsewhere: Place): Promise<void> {
    for (const folder of places) await mkdir(join(this.#folder, folder), { recursive: true, mode: 0o700 })
    const other = await this.#owner(elsewhere, name)
    if (other !== undefined && other !== migrationUID) throw podBusy(name, other)
    // Linked into place whole: the hook may rename an announcement the instant it appears.
    const draft = this.#draft(migrationUID)
    await writeFile(draft, migrationUID, { mode: 0o600 })
    try {
      await link(draft, this.#path(place, name))
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
      const owner = await this.#owner(place, name)
      if (owner !== migrationUID) throw podBusy(name, owner ?? 'unknown')
    } finally {
      await rm(draft, { force: true })
    }
  }

  async #owner(place: Place, name: string): Promise<string | undefined> {
    try {
      return (await readFile(this.#path(place, name), 'utf8')).trim()
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined
      throw error
    }
  }

  #draft(migrationUID: string): string {
    return join(this.#folder, `.${migrationUID}`)
  }

  #path(place: Place, name: string): string {
    return join(this.#folder, place, name)
  }
}

const isCode = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException).code === code

function podBusy(name: string, owner: string): PodferryError {
  return new PodferryError({
    reason: 'PodBusy',
    message: `cgroup ${name} is announced or frozen for Migration ${owner}; wait until that one has finished`,
    retry: 'backoff',
  })
}
