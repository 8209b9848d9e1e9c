/** What a keeper tells about itself: over its control socket, and in a file that outlives it. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `waiting`: no local connection yet. `open`: pages flow. `finished`: the daemon has ended well and, at the source, CRIU's
 * connection was ended. `aborted`: the dump was made to fail. `failed`: a local connection has ended by itself.
 */
export type KeeperPhase = 'waiting' | 'open' | 'finished' | 'aborted' | 'failed'

export interface KeeperState {
  phase: KeeperPhase
  /** The twin is there. */
  connected: boolean
  sentBytes: number
  receivedBytes: number
  /** Since the twin was last heard; it speaks at least every second. */
  silentMs: number
  /** Source: where the twin connects. Destination: where the daemon connects, on the loopback. */
  port: number
}

const FILE = 'keeper.state'

export const hasEnded = (phase: KeeperPhase): boolean => phase !== 'waiting' && phase !== 'open'

/** @param folder as this process sees it */
export function writeKeeperState(folder: string, state: KeeperState): void {
  const draft = join(folder, `.${FILE}`)
  writeFileSync(draft, `${JSON.stringify(state)}\n`, { mode: 0o600 })
  renameSync(draft, join(folder, FILE))
}

/** @returns undefined when there is none */
export function readKeeperState(folder: string): KeeperState | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, FILE), 'utf8')) as KeeperState
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
