/** A keeper's phase, counted with the tunnel's numbers into the state that it tells. */
import { hasEnded, type KeeperPhase, type KeeperState, writeKeeperState } from './keeper-state.ts'
import type { KeeperLog } from './log.ts'
import type { Tunnel } from './tunnel.ts'

export interface KeeperRecord {
  readonly phase: KeeperPhase
  /** Written down before it returns, unless the disk is full. An ending is final. */
  enter(phase: KeeperPhase): void
  state(): KeeperState
}

interface RecordOptions {
  folder: string
  port: number
  tunnel: Tunnel
  log: KeeperLog
}

export function createRecord({ folder, port, tunnel, log }: RecordOptions): KeeperRecord {
  let phase: KeeperPhase = 'waiting'
  const state = (): KeeperState => ({
    phase,
    connected: tunnel.connected,
    sentBytes: tunnel.sentBytes,
    receivedBytes: tunnel.receivedBytes,
    silentMs: tunnel.silentMs,
    port,
  })
  const write = () => writeKeeperState(folder, state())
  write()
  return {
    get phase() {
      return phase
    },
    enter(next) {
      if (phase === next || hasEnded(phase)) return
      phase = next
      log(`phase ${next}`, state())
      try {
        write()
      } catch (error) {
        // On a full disk too it does its work; what it says when it is asked does not need the file.
        log('the phase is not written down', { error: String(error) })
      }
    },
    state,
  }
}
