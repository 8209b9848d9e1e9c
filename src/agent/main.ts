/** Puts the parts of an agent together, starts them in order and takes them down in reverse. */
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { KubeClient } from '../kube/client.ts'
import { createEventRecorder } from '../kube/events.ts'
import { RegistryClient } from '../oci/registry-client.ts'
import { REGISTRY_URL } from '../oci/repository.ts'
import { createAgentLoop, reportSetAside } from './agent.ts'
import { destinationByMode, sourceByMode } from './by-mode.ts'
import type { AgentContext } from './context.ts'
import { createStore } from './destination/arrival.ts'
import type { DestinationDependencies } from './destination/dependencies.ts'
import { createDestinationHandler } from './destination/handler.ts'
import { createRestoreLogs } from './destination/restore-log.ts'
import { checkRoom } from './destination/room.ts'
import { createWrappedDestination } from './destination/wrapped/handler.ts'
import { reportFacts } from './facts/report.ts'
import { createFence } from './fence/fence.ts'
import { startHealth } from './health.ts'
import { install, uninstall } from './install/install.ts'
import type { LiveAbility } from './install/live.ts'
import { nodeCommands } from './install/node-commands.ts'
import { JOURNAL_FOLDER, openJournal } from './journal.ts'
import { createKubelet, type KubeletOptions } from './kubelet.ts'
import { createLive } from './live.ts'
import { sendArchive } from './peer/client.ts'
import { createAgentIdentity } from './peer/identity.ts'
import { startPeerServer } from './peer/server.ts'
import { Uploads } from './peer/uploads.ts'
import { createPreflight } from './preflight/preflight.ts'
import { createContainerdImages } from './runtime/containerd-images.ts'
import { createContainerdTasks } from './runtime/containerd-tasks.ts'
import { createCriClient } from './runtime/cri.ts'
import { dumpEnded } from './source/dump-processes.ts'
import { sourceEntrySchema } from './source/entry.ts'
import { createSourceHandler } from './source/handler.ts'

export interface AgentSettings {
  nodeName: string
  nodeAddress: string
  /** UID of the agent's own pod. */
  podUID: string
  /** Where the node's root file system is seen. */
  hostRoot: string
  kubelet: Omit<KubeletOptions, 'nodeName' | 'address' | 'log'>
  /** The kubelet's --root-dir on the node. */
  kubeletRoot: string
  /** On the node. */
  runtimeSocket: string
  runtimeRoot: string
  /** For the memory of one container on its way to another node; no limit without. */
  pageBytesPerSecond?: number
}

/** Less than the grace period of the agent's pod: what does not end in this time, the next agent picks up. */
const PATIENCE_MS = 6_000
const SWEEP_MS = 5 * 60_000
/** From the root of the node's file system; config/manager/registry.yaml has the same. */
const REGISTRY_ROOT = '/var/lib/podferry/registry'

/** Serves the node until the signal aborts; a running dump is waited for a few seconds. */
export async function runAgent(
  settings: AgentSettings,
  { client, log }: { client: KubeClient; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { nodeName, nodeAddress, hostRoot, kubeletRoot } = settings
  const ctx: AgentContext = { nodeName, client, log, hostRoot, now: () => new Date() }
  const journal = await openJournal({ folder: join(hostRoot, JOURNAL_FOLDER), schema: sourceEntrySchema, log })
  reportSetAside(log, journal.setAside)
  const recorder = createEventRecorder({ client, component: 'podferry-agent', instance: nodeName, log })
  const identity = createAgentIdentity({ client, log, nodeName, podUID: settings.podUID })
  const socketPath = join(hostRoot, settings.runtimeSocket)
  const cri = createCriClient(socketPath)
  // Other runtimes have neither.
  const isContainerd = settings.runtimeSocket.includes('containerd')
  const images = isContainerd ? createContainerdImages(socketPath) : undefined
  const tasks = isContainerd ? createContainerdTasks(socketPath) : undefined
  const uploads = new Uploads()
  const fence = createFence(hostRoot)
  const places = { hostRoot, runtimeRoot: settings.runtimeRoot, registryRoot: REGISTRY_ROOT }

  const open = () => [...journal.list(), ...live.journal.list()].map(({ uid }) => uid)
  const loop = createAgentLoop(ctx, () => ({ source, destination }), open)
  const wake = (uid: string) => loop.wake(uid)
  const live = await createLive(ctx, {
    ...{ nodeAddress, kubeletRoot, identity, fence, cri, uploads, recorder, wake },
    runtimeSocket: settings.runtimeSocket,
    runtimeRoot: settings.runtimeRoot,
    pageBytesPerSecond: settings.pageBytesPerSecond,
    isIdle: () => open().length === 0,
  })
  reportSetAside(log, live.journal.setAside)
  const imageSource = createSourceHandler(ctx, {
    journal,
    fence,
    kubelet: createKubelet({ ...settings.kubelet, nodeName, address: nodeAddress, log }),
    kubeletRoot,
    install: () => install(hostRoot),
    preflight: createPreflight(hostRoot, nodeCommands),
    dumpEnded: (containerID) => dumpEnded(hostRoot, containerID),
    resumeContainer: async (containerID) => await tasks?.resume(containerID),
    send: (delivery) => sendArchive({ ...delivery, identity }),
    wake,
    recorder,
  })
  let ability: LiveAbility = { able: false, reason: 'NotInstalled', message: 'the agent has only just started' }
  const atDestination: DestinationDependencies = {
    ...{ cri, images, places, uploads },
    registry: new RegistryClient({ url: REGISTRY_URL }),
    restoreLogs: createRestoreLogs(hostRoot),
    wrapper: () => ability,
  }
  const imageDestination = createDestinationHandler(ctx, atDestination)
  const wrapped = createWrappedDestination(ctx, { ...live.atDestination, ...atDestination }, imageDestination)
  const source = sourceByMode({ image: imageSource, live: live.source })
  const destination = destinationByMode({ image: imageDestination, wrapped, live: live.destination })

  // What a crash has left frozen must not wait for the API server.
  source.recover()
  await install(hostRoot).catch((err) =>
    log.error({ err }, 'the fence cannot be installed; pods cannot leave this node'),
  )
  ability = await live.install().catch((err) => {
    log.error({ err }, 'this node cannot be made ready for live moves')
    return { able: false, reason: 'LiveInstallFailed', message: (err as Error).message } as const
  })
  let listening = false
  const health = await startHealth(() => [
    ...(loop.isReady() ? [] : ['the API server has not told all Migrations and pods yet']),
    ...(listening ? [] : ['no certificate yet: is the controller running?']),
  ])
  const keepIdentity = identity.run(signal)
  loop.start()
  const sweep = () => void destination.sweep().catch((err) => log.warn({ err }, 'sweeping failed'))
  // At once too: after a reboot, marks that let restored pods start again are missing.
  sweep()
  const sweeping = setInterval(sweep, SWEEP_MS)
  const endFacts = reportFacts({
    ...{ client, nodeName, log },
    sources: {
      ...{ hostRoot, cri, node: nodeCommands, now: ctx.now },
      runtimeSocket: settings.runtimeSocket,
      runtimeRoot: settings.runtimeRoot,
      live: ability,
      kubeletInsecureTls: settings.kubelet.insecureTls === true,
      serverTime: () => client.serverTime(),
    },
  })
  log.info({ hostRoot, open: open().length }, 'agent started')

  const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await Promise.race([identity.ready(), ended])
  const server = signal.aborted
    ? undefined
    : await startPeerServer({
        identity,
        client,
        log,
        nodeName,
        address: nodeAddress,
        uploads,
        makeRoom: (bytes) => checkRoom(places, bytes),
        store: createStore(cri),
        onStored: ({ migrationUID }) => loop.wake(migrationUID),
        live: live.receiver,
      })
  listening = server !== undefined
  await ended

  clearInterval(sweeping)
  await Promise.all([endFacts(), server?.close(), source.close(PATIENCE_MS), loop.stop(), keepIdentity])
  // Anything open needs hook and configuration again; else the node is left as it was found.
  if (open().length === 0) await uninstall(hostRoot).catch((err) => log.error({ err }, 'not uninstalled'))
  await Promise.all([recorder.flush(), health.close()])
  for (const runtime of [cri, images, tasks]) runtime?.close()
  log.info({ open: open().length }, 'agent ended')
}
