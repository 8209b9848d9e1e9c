/** What a keeper is told on its standard input: keys must not stand in a command line. */
import type { PeerIdentity } from '../peer/identity.ts'

interface CommonConfig {
  /** As the keeper sees it. */
  folder: string
  /** Its own. Certificates live for a day and are renewed after two thirds of it: eight hours are left at least. */
  identity: PeerIdentity
  /** Whose certificate the twin must show. */
  peerNode: string
  /** Of what goes to the twin; no limit without. */
  bytesPerSecond?: number
}

export interface SourceConfig extends CommonConfig {
  role: 'source'
  /** The node's own, never a wildcard. */
  address: string
}

export interface DestinationConfig extends CommonConfig {
  role: 'destination'
  peerAddress: string
  peerPort: number
  /** Process of the daemon's job, as the keeper sees it. */
  pidFile: string
  /** Exit code of the daemon, as the keeper sees it. Anything but 0: no page can be asked for any more. */
  exitFile: string
  /** As the keeper sees it. `0` in it: `Delivered=True` is in the API server, so the source is needed no more. */
  deliveredFile: string
}

export type KeeperConfig = SourceConfig | DestinationConfig
