/** The process that holds a keeper's local connection too, so that a killed keeper ends nothing. See runtime/page-holder. */
import { spawn } from 'node:child_process'
import { constants, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'

const HOLDER = join(import.meta.dirname, '../../../runtime/page-holder')
const FIFO = 'holder.fifo'

export interface Holder {
  end(): void
}

/**
 * @param folder as this process sees it
 * @param socket has a descriptor already
 * @throws Error when no process can be made
 */
export function startHolder(folder: string, socket: Socket): Holder {
  const fifo = join(folder, FIFO)
  rmSync(fifo, { force: true })
  const child = spawn('/bin/sh', [HOLDER, fifo], { stdio: ['ignore', 'ignore', 'inherit', socket] })
  // The event comes later; a missing ID tells it at once.
  child.on('error', () => {})
  if (child.pid === undefined) throw new Error('no process to hold the connection can be made')
  child.unref()
  return {
    end() {
      child.kill('SIGKILL')
      rmSync(fifo, { force: true })
    },
  }
}

/**
 * Makes the dump fail though its keeper is dead.
 *
 * @param folder as this process sees it
 * @returns false when no holder lives
 */
export async function abortByHolder(folder: string): Promise<boolean> {
  try {
    // Does not wait for a reader: without one there is no holder.
    const fifo = await open(join(folder, FIFO), constants.O_WRONLY | constants.O_NONBLOCK)
    await fifo.writeFile('abort\n')
    await fifo.close()
    return true
  } catch (error) {
    if (['ENOENT', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}
