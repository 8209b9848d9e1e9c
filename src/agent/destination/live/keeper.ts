/** The destination's page keeper of one container, and the port where its daemon finds it. */
import { join } from 'node:path'
import { replaceFile } from '../../files.ts'
import type { Keepers } from '../../pages/keepers.ts'
import { EXIT_FILE, PID_FILE } from './lazy-pages.ts'
import { textOf } from './staging.ts'

interface KeeperPlace {
  hostRoot: string
  keepers: Keepers
  /** The container's staging folder on the node. */
  folder: string
}

const DELIVERED_FILE = 'delivered'

const fileOf = ({ hostRoot, folder }: KeeperPlace) => join(hostRoot, folder, 'keeper.port')

/** @returns on the node's loopback; undefined when no keeper was started */
export async function keeperPort(place: KeeperPlace): Promise<number | undefined> {
  const text = await textOf(fileOf(place))
  return text === '' ? undefined : Number(text)
}

/** One that lives and has the same twin goes on. @throws PodferryError see Keepers */
export async function startKeeper(
  place: KeeperPlace,
  twin: { peerNode: string; peerAddress: string; peerPort: number },
): Promise<void> {
  const { keepers, folder } = place
  const files = {
    pidFile: `${folder}/${PID_FILE}`,
    exitFile: `${folder}/${EXIT_FILE}`,
    deliveredFile: `${folder}/${DELIVERED_FILE}`,
  }
  const { port } = await keepers.startDestination({ folder, ...twin, ...files })
  if (port !== (await keeperPort(place))) await replaceFile(fileOf(place), `${port}\n`, 0o600)
}

/** The keeper may tell its twin that the source is needed no more. Only when `Delivered=True` is in the API server. */
export async function sayDelivered({ hostRoot, folder }: Pick<KeeperPlace, 'hostRoot' | 'folder'>): Promise<void> {
  await replaceFile(join(hostRoot, folder, DELIVERED_FILE), '0\n', 0o600)
}
