/** What mode Live needs on a node: the wrapper, containerd's handler for it, room in pipes. Put there and taken away. */
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { PodferryError } from '../../errors.ts'
import { type CriClient, createCriClient } from '../runtime/cri.ts'
import { binaryOf, defaultRuntime, handlerFrom } from './containerd-config.ts'
import { type ContainerdProcess, findContainerd } from './containerd-process.ts'
import { dumpConfig, placeHandler, removeHandler } from './handler.ts'
import { checkPrograms } from './live-checks.ts'
import { isLoaded, loadedHandler } from './loaded-handler.ts'
import { type NodeCommands, nodeCommands } from './node-commands.ts'
import { raisePipeSize, removeRecord, restorePipeSize } from './node-record.ts'
import { containersOfWrapper, placePrograms, removePrograms, WRAPPER } from './programs.ts'

export const DEFAULT_SOCKET = '/run/containerd/containerd.sock'
/** A containerd with thousands of containers takes some seconds until it answers. */
const RESTART_MS = 60_000
const POLL_MS = 200

export type LiveAbility = { able: true } | { able: false; reason: string; message: string }

export interface LiveInstallOptions {
  hostRoot: string
  log: Logger
  /** containerd's, on the node. */
  runtimeSocket?: string
  /** Whether containerd may be restarted now when it has to: never while a Migration is active on the node. */
  mayRestart?: boolean
  node?: NodeCommands
  /** Default: over `runtimeSocket`, opened and closed here. */
  cri?: Runtime
}
type Runtime = Pick<CriClient, 'version' | 'statusInfo'>

/**
 * Makes the node able to send and take live moves. The same again changes nothing; containers survive containerd's restart.
 *
 * @returns why the node is not able, if it is not; then containerd's configuration is as it was
 */
export async function installLive(options: LiveInstallOptions): Promise<LiveAbility> {
  const { log } = options
  try {
    await withRuntime(options, (cri) => install({ ...options, cri }))
    return { able: true }
  } catch (error) {
    if (!(error instanceof PodferryError)) log.error({ err: error }, 'what live moves need cannot be installed')
    const reason = error instanceof PodferryError ? error.reason : 'LiveInstallFailed'
    return { able: false, reason, message: (error as Error).message }
  }
}

async function install(options: LiveInstallOptions & { cri: Runtime }): Promise<void> {
  const { hostRoot, log, cri, node = nodeCommands, runtimeSocket = DEFAULT_SOCKET, mayRestart = true } = options
  const version = await cri.version()
  if (version.runtimeName !== 'containerd') {
    throw unable('RuntimeNotSupported', `live moves need containerd; ${version.runtimeName} has no such handler yet`)
  }
  const containerd = await findContainerd(hostRoot, runtimeSocket)
  const dump = await dumpConfig(node, containerd)
  const runtime = defaultRuntime(dump)
  const runc = await checkPrograms(node, { path: containerd.path, runc: binaryOf(runtime) })
  await placePrograms(hostRoot, runc)
  const { code, stderr } = await node.exec([WRAPPER, '--version'], { timeoutMs: 10_000 })
  if (code !== 0) throw unable('WrapperNotRunnable', `${WRAPPER} does not run on the node: ${stderr.trim()}`)
  await raisePipeSize(hostRoot)

  const { handler, rollBack } = await placeHandler(hostRoot, node, containerd, dump, handlerFrom(runtime, WRAPPER))
  if (await isLoaded(cri, handler)) return
  if (!mayRestart) {
    const message = 'containerd has to be restarted for the runtime handler podferry, once no Migration is active here'
    throw unable('RestartPending', message)
  }
  log.info({ unit: containerd.unit, pid: containerd.pid }, 'restarting containerd for the runtime handler podferry')
  try {
    await restart(node, containerd)
    await until('containerd has the handler', () => isLoaded(cri, handler))
  } catch (cause) {
    await rollBack()
    await findContainerd(hostRoot, runtimeSocket)
      .then((again) => restart(node, again))
      .catch(() => undefined)
    const message = `containerd did not take the runtime handler podferry in ${RESTART_MS / 1000} s; its configuration is as it was`
    throw new PodferryError({ reason: 'ContainerdRestartFailed', message, retry: 'afterChange', cause })
  }
}

export interface LiveUninstall {
  /** Containers and sandboxes of RuntimeClass podferry that live: the wrapper and its link stay for their sake. */
  containers: string[]
}

/**
 * Takes away what installLive has put on the node. containerd is restarted when it has the handler and nothing uses it.
 *
 * @param restartAfterMs leaves the restart to a process of the node that waits so long and is not waited for: for a caller
 *   whose own output goes through containerd
 * @throws PodferryError `ContainerdConfigRefused`
 */
export async function uninstallLive(
  options: Omit<LiveInstallOptions, 'mayRestart'> & { restartAfterMs?: number },
): Promise<LiveUninstall> {
  const { hostRoot, log, node = nodeCommands, runtimeSocket = DEFAULT_SOCKET, restartAfterMs } = options
  const containers = await containersOfWrapper(hostRoot, dirname(runtimeSocket))
  await removeHandler(hostRoot)
  await restorePipeSize(hostRoot)
  await removeRecord(hostRoot)
  if (containers.length > 0) {
    log.warn({ containers }, `${WRAPPER} stays: containers that it made need it until they are gone`)
    return { containers }
  }
  await withRuntime(options, async (cri) => {
    // A node without containerd, or with a silent one, has no handler loaded.
    if ((await loadedHandler(cri).catch(() => undefined)) === undefined) return
    const containerd = await findContainerd(hostRoot, runtimeSocket)
    log.info({ unit: containerd.unit, pid: containerd.pid }, 'restarting containerd without the handler podferry')
    await restart(node, containerd, restartAfterMs)
    if (restartAfterMs === undefined) await until('containerd is back', async () => !(await loadedHandler(cri)))
  })
  await removePrograms(hostRoot)
  return { containers }
}

async function withRuntime(
  { hostRoot, runtimeSocket = DEFAULT_SOCKET, cri }: LiveInstallOptions,
  use: (cri: Runtime) => Promise<void>,
): Promise<void> {
  if (cri !== undefined) return await use(cri)
  const own = createCriClient(join(hostRoot, runtimeSocket))
  try {
    await use(own)
  } finally {
    own.close()
  }
}

/** Whatever keeps containerd starts it again: systemd when asked, any other supervisor when it has ended. */
async function restart(node: NodeCommands, { unit, pid }: ContainerdProcess, afterMs?: number): Promise<void> {
  const command = unit === undefined ? ['kill', '-TERM', String(pid)] : ['systemctl', 'restart', unit]
  const later = ['sh', '-c', 'seconds=$1; shift; (sleep "$seconds"; exec "$@") </dev/null >/dev/null 2>&1 &', 'sh']
  const argv = afterMs === undefined ? command : [...later, String(afterMs / 1000), ...command]
  const { code, stderr } = await node.exec(argv, { timeoutMs: RESTART_MS })
  if (code !== 0) throw unable('ContainerdRestartFailed', `${command.join(' ')} on the node: ${stderr.trim()}`)
}

/** @throws PodferryError `ContainerdRestartFailed` when time is up */
async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + RESTART_MS
  for (;;) {
    // While it is down the socket is missing or silent.
    if (await ask().catch(() => false)) return
    if (Date.now() > deadline) throw unable('ContainerdRestartFailed', `waited ${RESTART_MS / 1000} s until ${what}`)
    await delay(POLL_MS)
  }
}

const unable = (reason: string, message: string) => new PodferryError({ reason, message, retry: 'afterChange' })
