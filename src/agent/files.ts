/** Writing that survives a crash at any moment: either the old file is there, or the new one whole. */
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Marks unfinished files, which a crash may leave; whoever owns the folder may delete them. */
export const DRAFT_PREFIX = '.draft-'

/**
 * Replaces a file atomically and durably.
 *
 * @param mode permissions, whatever the umask
 */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const draft = join(dirname(path), `${DRAFT_PREFIX}${basename(path)}-${randomBytes(4).toString('hex')}`)
  try {
    const file = await open(draft, 'wx', mode)
    try {
      await file.chmod(mode)
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Makes the names in a folder durable: a rename or removal is not until then. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
