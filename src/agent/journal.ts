/** What an agent must not forget over a crash: one JSON file a Migration, durable before each act that cannot be undone. */
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { z } from 'zod'
import { DRAFT_PREFIX, replaceFile, syncFolder } from './files.ts'

/** From the root of the node's file system. */
export const JOURNAL_FOLDER = '/var/lib/podferry/journal'
/** The same of mode Live. */
export const LIVE_JOURNAL_FOLDER = '/var/lib/podferry/journal-live'

export interface Journal<Entry> {
  /** @returns the entry as last written, undefined when there is none or when it could not be read at `openJournal` */
  read(uid: string): Entry | undefined
  list(): Entry[]
  /** Durable when it resolves; when it rejects, the entry before may or may not stand. */
  write(entry: Entry): Promise<void>
  remove(uid: string): Promise<void>
  /** Files that could not be understood; they stay on the node under these names until a person has looked at them. */
  readonly setAside: readonly string[]
}

interface JournalOptions<Entry> {
  /** Absolute; made with 0700 if missing. */
  folder: string
  schema: z.ZodType<Entry>
  log: Logger
}

/** Reads every entry once; afterwards memory and disk say the same. One journal a folder, one process a journal. */
export async function openJournal<Entry extends { uid: string }>(
  options: JournalOptions<Entry>,
): Promise<Journal<Entry>> {
  const { folder, schema, log } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const entries = new Map<string, Entry>()
  const setAside: string[] = []

  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if (name.startsWith(DRAFT_PREFIX)) await rm(path, { force: true })
    else if (name.endsWith('.unreadable')) setAside.push(path)
    if (!name.endsWith('.json') || name.startsWith(DRAFT_PREFIX)) continue
    try {
      const entry = schema.parse(JSON.parse(await readFile(path, 'utf8')))
      if (`${entry.uid}.json` !== name) throw new Error(`the entry is of Migration ${entry.uid}`)
      entries.set(entry.uid, entry)
    } catch (error) {
      const aside = `${path}.${Date.now()}.unreadable`
      await rename(path, aside)
      setAside.push(aside)
      log.error({ err: error, file: aside }, 'a journal entry cannot be read; it is set aside')
    }
  }

  const pathOf = (uid: string) => {
    if (!/^[0-9a-zA-Z-]{1,64}$/.test(uid)) throw new Error(`${JSON.stringify(uid)} is no UID of a Migration`)
    return join(folder, `${uid}.json`)
  }
  return {
    setAside,
    read: (uid) => entries.get(uid),
    list: () => [...entries.values()],
    async write(entry) {
      await replaceFile(pathOf(entry.uid), `${JSON.stringify(entry, null, 2)}\n`, 0o600)
      entries.set(entry.uid, entry)
    },
    async remove(uid) {
      await rm(pathOf(uid), { force: true })
      await syncFolder(folder)
      entries.delete(uid)
    },
  }
}
