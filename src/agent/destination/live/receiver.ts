/** What the source agent sends before the commit: files, CRIU's images, and where its page keepers listen. */
import type { Readable } from 'node:stream'
import type { Migration } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import type { LiveReceiver } from '../../peer/live-server.ts'
import { keeperPort, startKeeper } from './keeper.ts'
import { awaitLazy, clearImages, lazyLost, lazyState, startLazy } from './lazy-pages.ts'
import { type LiveAgent, namesOf } from './live-agent.ts'
import { isAlive } from './restorers.ts'
import { withinRoom } from './room.ts'
import { takeOff } from './root.ts'
import { containerFolder, isRefused, readWaiting } from './staging.ts'
import { ownRoot, targetOf } from './targets.ts'

export function createLiveReceiver({ hostRoot, log, deps, requests }: LiveAgent): LiveReceiver {
  const { jobs, keepers, files, node, fence } = deps

  const placeOf = (podUID: string, container: string) => {
    const folder = containerFolder(podUID, container)
    return { hostRoot, jobs, keepers, folder }
  }

  /** Works for one Migration as long as it is not given up. */
  const serve = <T>(
    migration: Migration,
    thing: string,
    signal: AbortSignal,
    work: (podUID: string, signal: AbortSignal) => Promise<T>,
  ) =>
    requests.run(migration.metadata.uid, thing, signal, async (either) => {
      const podUID = migration.status?.destination?.podUID
      if (podUID === undefined || (await isRefused(hostRoot, podUID))) {
        throw new PodferryError({ reason: 'AlreadyDecided', message: 'the destination pod is not waiting any more' })
      }
      return await work(podUID, either)
    })

  const beginOne = async (podUID: string, name: string, twin: Parameters<typeof startKeeper>[1]) => {
    const place = placeOf(podUID, name)
    const waiting = await readWaiting(hostRoot, podUID, name)
    if (waiting === undefined || !(await isAlive(hostRoot, waiting))) {
      const message = `container ${name} of the destination pod does not wait for its checkpoint any more; it waits 100 s`
      throw new PodferryError({ reason: 'ContainerReplaced', message })
    }
    if ((await lazyState(place)).is !== 'absent') {
      const message = `the checkpoint of container ${name} has arrived already; a migration has one`
      throw new PodferryError({ reason: 'AlreadyBegun', message })
    }
    await takeOff({ hostRoot, podUID, container: name }, waiting, node)
    await startKeeper(place, twin)
  }

  const receiveImages = async (podUID: string, container: string, body: Readable, signal: AbortSignal) => {
    const place = placeOf(podUID, container)
    await ownRoot({ hostRoot, podUID }, container)
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
    const stored = await inRoom(folder, body, (within) => files.unpackFolder({ folder, body: within, signal }))
    signal.throwIfAborted()
    await startLazy(place, port, await fence.find(podUID))
    await awaitLazy(place, signal)
    return stored
  }

  return {
    begin: ({ migration, peerNode, peerAddress, containers, signal }) =>
      serve(migration, 'begin', signal, async (podUID) => {
        const expected = namesOf(migration)
        const given = new Set(containers.map(({ name }) => name))
        if (given.size !== expected.length || !expected.every((name) => given.has(name))) {
          const message = `the containers ${[...given].join(', ')} are not the Migration's: ${expected.join(', ')}`
          throw new PodferryError({ reason: 'ContainerNotFound', message })
        }
        await Promise.all(
          containers.map(({ name, pagePort: peerPort }) => beginOne(podUID, name, { peerNode, peerAddress, peerPort })),
        )
        log.info({ migration: migration.metadata.uid, pod: podUID, peer: peerNode }, 'root file systems taken off')
      }),

    files: ({ migration, root, body, signal }) =>
      serve(migration, `files of ${root}`, signal, async (podUID, either) => {
        const { kubeletRoot } = deps
        const folder = await targetOf({ hostRoot, kubeletRoot, podUID, containers: namesOf(migration) }, root)
        return await inRoom(folder, body, (within) => files.unpackFiles({ folder, body: within, signal: either }))
      }),

    images: ({ migration, container, body, signal }) =>
      serve(migration, `images of ${container}`, signal, (podUID, either) =>
        receiveImages(podUID, container, body, either),
      ),
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
    const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC' || /No space left on device/.test(String(error))
    if (!isFull) throw error
    const message = `${folder} on the destination node is full; free space there or choose another node`
    throw new PodferryError({ reason: 'DiskTooSmall', message, cause: error })
  }
}

async function drain(body: Readable): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += (chunk as Buffer).length
  return bytes
}
