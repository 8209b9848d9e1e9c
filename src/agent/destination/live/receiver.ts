/** What the source agent sends before the commit: files, CRIU's images, and where its page keepers listen. */
import type { Readable } from 'node:stream'
import { allSettled } from '../../../all-settled.ts'
import type { Migration } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import type { LiveReceiver } from '../../peer/live-server.ts'
import { sendEarlyAway } from './early.ts'
import { keeperPort, startKeeper } from './keeper.ts'
import { awaitLazy, clearImages, lazyLost, lazyState, prepareLazy, startLazy } from './lazy-pages.ts'
import { type LiveAgent, namesOf } from './live-agent.ts'
import { isAlive } from './restorers.ts'
import { withinRoom } from './room.ts'
import { putBack, takenRoot, takeOff, takeOffAgain } from './root.ts'
import { containerFolder, isRefused, podFolder, readWaiting } from './staging.ts'
import { containerReplaced, ownRoot, targetOf } from './targets.ts'

type Twin = Parameters<typeof startKeeper>[1]

const isFirst = (migration: Migration, container: string): boolean => namesOf(migration)[0] === container

export function createLiveReceiver({ hostRoot, log, deps }: LiveAgent): LiveReceiver {
  const { jobs, keepers, files, fence, runtimeRoot } = deps

  const placeOf = (podUID: string, container: string) => {
    const folder = containerFolder(podUID, container)
    return { hostRoot, jobs, keepers, folder }
  }

  /** @throws PodferryError `AlreadyDecided` */
  const wantedPod = async ({ status }: Migration): Promise<string> => {
    const podUID = status?.destination?.podUID
    if (podUID !== undefined && !(await isRefused(hostRoot, podUID))) return podUID
    throw new PodferryError({ reason: 'AlreadyDecided', message: 'the destination pod is not waiting any more' })
  }

  /** Kubelet has made the first container alone; the others come one by one when it runs. */
  const beginLater = async (podUID: string, name: string, twin: Twin) => {
    const place = placeOf(podUID, name)
    if (await hasBegun(place, name)) return
    const prepared = fence.find(podUID).then((cgroup) => prepareLazy(place, cgroup))
    await allSettled([startKeeper(place, twin), prepared])
  }

  const beginFirst = async (podUID: string, name: string, twin: Twin, all: readonly string[]) => {
    const place = placeOf(podUID, name)
    const waiting = await readWaiting(hostRoot, podUID, name)
    const taken = await takenRoot({ hostRoot, podUID, container: name })
    const waits = waiting !== undefined && (await isAlive(hostRoot, waiting))
    // What was copied ahead lies in the layer of the one that has ended: another would start without it, and nobody would know.
    if (taken !== undefined && (!waits || taken.containerID !== waiting.containerID)) throw containerReplaced(name)
    if (!waits) {
      await sendEarlyAway(hostRoot, podUID, all)
      const message = `container ${name} of the destination pod does not wait for its checkpoint now`
      throw new PodferryError({ reason: 'ContainerNotRunning', message, retry: 'backoff' })
    }
    if (await hasBegun(place, name)) return
    const prepared = fence.find(podUID).then((cgroup) => prepareLazy(place, cgroup))
    await allSettled([
      takeOff({ hostRoot, podUID, container: name }, waiting, deps),
      startKeeper(place, twin),
      prepared,
    ])
  }

  /** @throws PodferryError `AlreadyBegun` when it is not the same beginning once more */
  const hasBegun = async (place: ReturnType<typeof placeOf>, name: string): Promise<boolean> => {
    const lazy = await lazyState(place)
    // The source agent was restarted: dump and keepers outlive it.
    if (lazy.is === 'running' && (await keepers.state(place.folder)) !== undefined) return true
    if (lazy.is === 'absent') return false
    const message = `the checkpoint of container ${name} has arrived already; a migration has one`
    throw new PodferryError({ reason: 'AlreadyBegun', message })
  }

  const receiveImages = async (migration: Migration, container: string, body: Readable, signal: AbortSignal) => {
    const podUID = await wantedPod(migration)
    const place = placeOf(podUID, container)
    if (isFirst(migration, container)) await ownRoot({ hostRoot, podUID }, container)
    const state = await lazyState(place)
    // There is one dump after a beginning, so these are the images that the daemon has open: nothing of them is written twice.
    if (state.is === 'running') {
      const bytes = await drain(body)
      await awaitLazy(place, signal)
      return { bytes }
    }
    // The keeper's stream may have been used. It can't begin anew, and nothing is lost yet: the source goes on.
    if (state.is !== 'absent') throw await lazyLost(place, state)
    const port = await keeperPort(place)
    if (port === undefined) {
      throw new PodferryError({ reason: 'NotBegun', message: `no page keeper was started for container ${container}` })
    }
    const folder = await clearImages(place)
    const stored = await inRoom(folder, body, (within) => files.unpackImages({ folder, body: within, signal }))
    signal.throwIfAborted()
    await startLazy(place, port, () => fence.find(podUID))
    await awaitLazy(place, signal)
    return stored
  }

  const layerRoot = async (migration: Migration, podUID: string, root: string) => {
    const container = root.startsWith('layer:') ? root.slice('layer:'.length) : ''
    return isFirst(migration, container) ? await ownRoot({ hostRoot, podUID }, container) : undefined
  }

  return {
    async begin({ migration, peerNode, peerAddress, containers }) {
      const podUID = await wantedPod(migration)
      const expected = namesOf(migration)
      const given = new Set(containers.map(({ name }) => name))
      if (given.size !== expected.length || !expected.every((name) => given.has(name))) {
        const message = `the containers ${[...given].join(', ')} are not the Migration's: ${expected.join(', ')}`
        throw new PodferryError({ reason: 'ContainerNotFound', message })
      }
      const began = performance.now()
      await Promise.all(
        containers.map(({ name, pagePort: peerPort }) =>
          (isFirst(migration, name) ? beginFirst : beginLater)(
            podUID,
            name,
            { peerNode, peerAddress, peerPort },
            expected,
          ),
        ),
      ).catch((error) => {
        throw isDiskFull(error) ? diskFull(podFolder(podUID), error) : error
      })
      const ms = Math.round(performance.now() - began)
      log.info({ migration: migration.metadata.uid, pod: podUID, peer: peerNode, ms }, 'root file systems taken off')
    },

    async files({ migration, root, level, body, signal }) {
      const podUID = await wantedPod(migration)
      const { kubeletRoot } = deps
      const arrival = { hostRoot, kubeletRoot, runtimeRoot, podUID, containers: namesOf(migration) }
      const folder = await targetOf(arrival, root)
      const taken = await layerRoot(migration, podUID, root)
      // What was sent before may have put it back.
      if (taken !== undefined) await takeOffAgain(taken, deps)
      const stored = await inRoom(folder, body, (within) => files.unpackFiles({ folder, body: within, signal }))
      // Beside what else is on its way: after the commit every millisecond is downtime.
      if (taken !== undefined && level === 1) await putBack(taken, deps)
      return stored
    },

    images: ({ migration, container, body, signal }) => receiveImages(migration, container, body, signal),
  }
}

/** @throws PodferryError `DiskTooSmall`, also where the disk was full before anybody looked */
async function inRoom<T>(folder: string, body: Readable, work: (body: Readable) => Promise<T>): Promise<T> {
  const within = withinRoom(folder, body)
  let roomError: unknown
  within.once('error', (error) => {
    roomError = error
  })
  try {
    return await work(within)
  } catch (error) {
    if (roomError instanceof PodferryError) throw roomError
    throw isDiskFull(error) ? diskFull(folder, error) : error
  }
}

const isDiskFull = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException).code === 'ENOSPC' || /No space left on device/.test(String(error))

function diskFull(folder: string, cause: unknown): PodferryError {
  const message = `${folder} on the destination node is full; free space there or choose another node`
  return new PodferryError({ reason: 'DiskTooSmall', message, cause })
}

async function drain(body: Readable): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += (chunk as Buffer).length
  return bytes
}
