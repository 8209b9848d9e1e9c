/** Fifos at which something on the node waits for a word. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** A fifo, root-only; nothing when it is there. */
export async function makeGate(path: string): Promise<void> {
  if (await exists(path)) return
  await promisify(execFile)('mkfifo', ['-m', '0600', path]).catch(async (error) => {
    if (!(await exists(path))) throw error
  })
}

/** @returns false when nobody waits */
export const tell = (path: string, word: string): Promise<boolean> => withGate(path, (gate) => gate.write(`${word}\n`))

/**
 * For a gate that is passed once: its name goes before the word is said, so who has a gate with a name waits still, also after a
 * crash of the one who says it.
 *
 * @returns false when nobody waits
 */
export const letThrough = (path: string, word: string): Promise<boolean> =>
  withGate(path, async (gate) => {
    await rm(path)
    await gate.write(`${word}\n`)
  })

async function withGate(path: string, work: (gate: FileHandle) => Promise<unknown>): Promise<boolean> {
  try {
    // Without O_NONBLOCK a gate without a reader would hold us for ever.
    const gate = await open(path, constants.O_WRONLY | constants.O_NONBLOCK)
    try {
      await work(gate)
      return true
    } finally {
      await gate.close()
    }
  } catch (error) {
    if (['ENXIO', 'ENOENT', 'EPIPE', 'EAGAIN'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}
