/** Files with several names: one file in an archive only when all its names are sent. */
import { type BigIntStats, type Dirent, lstatSync, readdirSync } from 'node:fs'
import { ENCODING, type Folder, pathIn, type Snapshot, sinceOf } from './snapshot.ts'

/**
 * A folder that the snapshot does not know is sent whole, also those files in it that have not changed. When such a file has a name
 * in a folder that is known, the receiver would end up with two files.
 *
 * @param root of what was copied, as this process sees it
 * @returns the snapshot without those names
 */
export function forgetOtherNames(snapshot: Snapshot, root: string): Snapshot {
  const split = splitFiles(snapshot, root)
  if (split.size === 0) return snapshot
  const folders = snapshot.folders.map((folder) => ({
    ...folder,
    entries: folder.entries.filter((entry) => {
      const found = entry.startsWith('D') ? undefined : look(root, `${folder.name}/${entry.slice(1)}`)
      return found === undefined || !split.has(found.ino)
    }),
  }))
  return { ...snapshot, folders }
}

/** @returns inodes of files that have names in unknown folders and elsewhere */
function splitFiles(snapshot: Snapshot, root: string): Set<bigint> {
  const names = new Map<bigint, { seen: bigint; all: bigint }>()
  for (const folder of unknownFolders(snapshot, root)) {
    for (const entry of list(root, folder)) {
      const found = entry.isDirectory() ? undefined : look(root, `${folder}/${entry.name}`)
      if (found === undefined || found.nlink < 2n) continue
      names.set(found.ino, { seen: (names.get(found.ino)?.seen ?? 0n) + 1n, all: found.nlink })
    }
  }
  return new Set([...names].filter(([, { seen, all }]) => seen < all).map(([inode]) => inode))
}

function unknownFolders(snapshot: Snapshot, root: string): string[] {
  const known = new Set(snapshot.folders.map(({ name }) => name))
  const since = sinceOf(snapshot)
  const found: string[] = []
  const below = (name: string) => {
    found.push(name)
    for (const entry of list(root, name)) if (entry.isDirectory()) below(`${name}/${entry.name}`)
  }
  for (const folder of snapshot.folders) {
    for (const child of childFolders(folder, root, since)) if (!known.has(child)) below(child)
  }
  if (!known.has('.')) below('.')
  return found
}

/** What has come into a folder has changed its ctime; otherwise the snapshot knows. */
function childFolders({ name, entries }: Folder, root: string, since: bigint): string[] {
  const hasChanged = (look(root, name)?.ctimeNs ?? 0n) >= since
  const names = hasChanged
    ? list(root, name).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
    : entries.flatMap((entry) => (entry.startsWith('D') ? [entry.slice(1)] : []))
  return names.map((child) => `${name}/${child}`)
}

const look = (root: string, name: string): BigIntStats | undefined =>
  lstatSync(pathIn(root, name), { bigint: true, throwIfNoEntry: false })
const list = (root: string, name: string): Dirent[] =>
  readdirSync(pathIn(root, name), { encoding: ENCODING, withFileTypes: true })
