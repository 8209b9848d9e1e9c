/** What the OCI runtime of a container is asked to do, beside containerd. */
import { z } from 'zod'
import { PodferryError } from '../../../errors.ts'
import type { NodeCommands } from '../../install/node-commands.ts'
import { imageFolder, workFolder } from './places.ts'

/** On the node: leads to the runc that containerd uses. The installation places it. */
const RUNC = '/opt/podferry/bin/runc'
/** Where containerd lets runc keep the state of the containers of Kubernetes. */
const ROOT = '/run/containerd/runc/k8s.io'
const PATIENCE_MS = 20_000

const stateSchema = z.object({ pid: z.int().min(0), status: z.string() })

/**
 * @returns process ID of the container's first process, and `running`, `paused`, `stopped` …
 * @throws PodferryError `RuncFailed` when runc does not know the container
 */
export async function containerState(node: NodeCommands, id: string): Promise<z.output<typeof stateSchema>> {
  return stateSchema.parse(JSON.parse(await runc(node, 'state', id)))
}

/** @throws PodferryError `RuncFailed` */
export async function pauseContainer(node: NodeCommands, id: string): Promise<void> {
  await runc(node, 'pause', id)
}

/** The dump of one container whose memory stays where it is: CRIU serves it on the loopback until it has been fetched. */
export const dumpCommand = (id: string, folder: string, port: number): string[] => [
  ...[RUNC, '--root', ROOT, 'checkpoint', '--lazy-pages', '--page-server', `127.0.0.1:${port}`, '--status-fd', '3'],
  ...['--image-path', imageFolder(folder), '--work-path', workFolder(folder), id],
]

async function runc(node: NodeCommands, command: string, id: string): Promise<string> {
  const { code, stdout, stderr } = await node.exec([RUNC, '--root', ROOT, command, id], { timeoutMs: PATIENCE_MS })
  if (code === 0) return stdout
  throw new PodferryError({
    reason: 'RuncFailed',
    message: `runc ${command} of container ${id} ended with ${code}: ${stderr.trim() || 'it said nothing'}; see containerd's log on the node`,
  })
}
