/**
 * Tar's memory of what level 0 has copied (a listed-incremental file of format 2, "Incremental Snapshot Files" in tar's manual).
 *
 * Left alone it would lose files in a pod that runs meanwhile: tar notes all names first and reads the files later, so a folder
 * that is moved in between counts as copied although nothing of it was read. And it would send a moved folder as the order to
 * rename it, which can be carried out only once. So whatever is not for certain as level 0 has seen it is forgotten, and sent again.
 */
import { lstatSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface Folder {
  /** NFS flag, mtime in seconds and nanoseconds, device, inode: decimal text. */
  facts: string[]
  /** From the root of what was copied, `.` being that itself. */
  name: string
  /** `Y`, `N` or `D`, then the name. */
  entries: string[]
}

export interface Snapshot {
  version: string
  /** Level 1 takes what has a younger mtime or ctime; since 1970. */
  seconds: number
  nanoseconds: number
  folders: Folder[]
}

const FACTS = 5
const INODE = 4

/** Names are bytes; as Latin-1 each stays what it is. */
export const ENCODING = 'latin1'

/** @returns undefined when there is none */
export async function readSnapshot(path: string): Promise<Snapshot | undefined> {
  const text = await readFile(path, ENCODING).catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (text === undefined) return undefined
  const line = text.indexOf('\n') + 1
  const version = text.slice(0, line)
  const fields = text.slice(line).split('\0')
  const [seconds, nanoseconds] = fields.splice(0, 2).map(Number)
  // What follows the last zero is no field.
  const rest = fields.pop()
  if (!/^GNU tar-.*-2\n$/.test(version) || !Number.isSafeInteger(seconds) || rest !== '') {
    throw new Error(`${path} is not tar's memory of format 2`)
  }
  const folders: Folder[] = []
  for (let at = 0; at < fields.length; ) {
    const facts = fields.slice(at, at + FACTS)
    const name = fields[at + FACTS] ?? ''
    const first = at + FACTS + 1
    // An empty field ends the entries, another one the folder.
    const end = fields.indexOf('', first)
    if (end < 0 || fields[end + 1] !== '') throw new Error(`${path} breaks off in folder ${name}`)
    folders.push({ facts, name, entries: fields.slice(first, end) })
    at = end + 2
  }
  return { version, seconds: seconds ?? 0, nanoseconds: nanoseconds ?? 0, folders }
}

export async function writeSnapshot(path: string, { version, seconds, nanoseconds, folders }: Snapshot): Promise<void> {
  const fields = folders.flatMap(({ facts, name, entries }) => [...facts, name, ...entries, '', ''])
  const text = `${version}${[seconds, nanoseconds, ...fields].map((field) => `${field}\0`).join('')}`
  await writeFile(path, text, { encoding: ENCODING, mode: 0o600 })
}

/** @param root of what was copied. @param name as a snapshot has it */
export const pathIn = (root: string, name: string): Buffer =>
  Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, ENCODING)])

/** Nanoseconds since 1970. */
export const sinceOf = ({ seconds, nanoseconds }: Snapshot): bigint =>
  BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)

/** @param unread names of files and folders that tar has noted but not read. @returns the snapshot without them */
export function forgetUnread(snapshot: Snapshot, unread: readonly string[]): Snapshot {
  if (unread.length === 0) return snapshot
  const gone = new Set(unread)
  const folders = snapshot.folders
    .filter(({ name }) => !gone.has(name))
    .map((folder) => ({
      ...folder,
      // A name that is not there is new to tar: it is sent whatever its times are.
      entries: folder.entries.filter((entry) => !gone.has(`${folder.name}/${entry.slice(1)}`)),
    }))
  return { ...snapshot, folders }
}

/**
 * A folder that is forgotten is sent with everything below.
 *
 * @param root of what was copied, as this process sees it
 * @returns the snapshot with those folders only that have stayed where they were
 */
export function forgetMoved(snapshot: Snapshot, root: string): Snapshot {
  const since = sinceOf(snapshot)
  const staying = new Set<string>()
  // Above first: below a folder that has become a link, all names lead elsewhere.
  for (const { facts, name } of snapshot.folders.toSorted((a, b) => a.name.length - b.name.length)) {
    if (name !== '.' && !staying.has(dirname(name))) continue
    if (hasStayed(pathIn(root, name), facts[INODE], since)) staying.add(name)
  }
  return { ...snapshot, folders: snapshot.folders.filter(({ name }) => staying.has(name)) }
}

function hasStayed(path: Buffer, inode: string | undefined, since: bigint): boolean {
  try {
    const found = lstatSync(path, { bigint: true })
    if (!found.isDirectory() || String(found.ino) !== inode) return false
    // Moving a folder changes its ctime alone, changing its contents both: it may have been away and come back.
    return found.ctimeNs < since || found.ctimeNs === found.mtimeNs
  } catch {
    return false
  }
}
