/** The agent's hold on its page keepers, those of earlier agents included. */
import { readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { PodferryError } from '../../errors.ts'
import { createTurns } from '../../turns.ts'
import { letThrough, makeGate } from '../jobs/gates.ts'
import { jobFiles, readLogEnd } from '../jobs/job-files.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { IdentityHolder } from '../peer/identity.ts'
import type { DestinationConfig, KeeperConfig, SourceConfig } from './config.ts'
import { askKeeper } from './control.ts'
import { abortByHolder } from './holder.ts'
import { hasEnded, type KeeperState, readKeeperState } from './keeper-state.ts'

export interface Keepers {
  /**
   * Starts a process that will be the keeper of this folder: it takes a quarter of a second until it can listen, and a keeper is
   * wanted when everything else is ready. Nothing when there is one, or was.
   */
  prepare(folder: string): Promise<void>
  /**
   * A keeper of the same twin that lives in the folder goes on; another is replaced while it waits.
   *
   * @param o.folder on the node, as all folders here; it exists already, root-only
   * @param o.address the node's own
   * @returns where its twin connects
   * @throws PodferryError `KeeperNotStarted`; `KeeperBusy` when the one there is has its connection already
   */
  startSource(o: { folder: string; address: string; peerNode: string }): Promise<{ port: number }>
  /**
   * As startSource.
   *
   * @param o.pidFile of the daemon's job, on the node, as the next two
   * @param o.exitFile of the daemon
   * @param o.deliveredFile when it holds `0`, the twin is told that all is there
   * @returns where `criu lazy-pages` connects, on the node's loopback
   */
  startDestination(o: {
    folder: string
    peerNode: string
    peerAddress: string
    peerPort: number
    pidFile: string
    exitFile: string
    deliveredFile: string
  }): Promise<{ port: number }>
  /** @returns how it is, or how it ended; undefined: there is none, or it was killed before an end */
  state(folder: string): Promise<KeeperState | undefined>
  /**
   * Source: connects to CRIU's page server, once.
   *
   * @throws PodferryError `KeeperRefused`
   */
  open(folder: string, port: number): Promise<void>
  /**
   * Source: makes the dump fail, by the keeper, else by its holder; nothing when neither lives.
   *
   * @throws PodferryError `KeeperRefused` when the pages have all arrived
   */
  abort(folder: string): Promise<void>
  /** Kills keeper and holder, which ends the local connection: only when the process at its other end is gone. */
  end(folder: string): Promise<void>
}

interface KeepersOptions {
  hostRoot: string
  jobs: Jobs
  identity: IdentityHolder
  log: Logger
  /** For what a source's keeper sends; no limit without. */
  bytesPerSecond?: number | undefined
}

/** The words in a keeper's configuration that make it the same one. */
type Wish = Omit<SourceConfig, 'identity' | 'bytesPerSecond'> | Omit<DestinationConfig, 'identity' | 'bytesPerSecond'>

const JOB = 'keeper'
const MAIN = join(import.meta.dirname, `main${extname(import.meta.filename)}`)
/** Where a prepared keeper waits for its configuration. */
const gateIn = (folder: string) => `${folder}/${JOB}.gate`
const PATIENCE_MS = 10_000
const POLL_MS = 10
/** A holder makes its fifo a few milliseconds after it was started. */
const HOLDER_MS = 1_000

export function createKeepers({ hostRoot, jobs, identity, log, bytesPerSecond }: KeepersOptions): Keepers {
  const seen = (path: string) => join(hostRoot, path)
  const argvOf = (folder: string) => [process.execPath, MAIN, seen(folder)]
  // A wish that is told once more while the first is under way, or an end in its middle, would leave a keeper that nobody knows.
  const inTurn = createTurns()

  const start = (folder: string, wish: Wish) => inTurn(folder, () => startInTurn(folder, wish))

  const startInTurn = async (folder: string, wish: Wish): Promise<{ port: number }> => {
    const wishFile = join(seen(folder), 'keeper.wish')
    const wished = JSON.stringify(wish)
    const living = await ask(folder, { do: 'state' })
    const same = (await readFile(wishFile, 'utf8').catch(() => '')) === wished
    if (living && same && !hasEnded(living.phase)) return { port: living.port }
    // To kill it would end a connection of CRIU; so would the end of a killed keeper's holder.
    const phase = living?.phase ?? readKeeperState(seen(folder))?.phase ?? 'waiting'
    if (living ? phase !== 'waiting' : phase === 'open') {
      const message = `the page keeper in ${folder} is ${phase} already; it cannot begin again`
      throw new PodferryError({ reason: 'KeeperBusy', message })
    }
    await writeFile(wishFile, wished, { mode: 0o600 })
    const pace = wish.role === 'source' && bytesPerSecond !== undefined ? { bytesPerSecond } : {}
    const config = JSON.stringify({ ...wish, ...pace, identity: identity.current() } satisfies KeeperConfig)
    const began = performance.now()
    const prepared = await letThrough(seen(gateIn(folder)), config)
    // One that has died of late may still have had its gate open.
    const begun = prepared ? await listening(folder, began).catch(() => undefined) : undefined
    const port = begun ?? (await startAfresh(folder, config))
    const ms = Math.round(performance.now() - began)
    log.info({ folder, role: wish.role, peer: wish.peerNode, port, ms }, 'page keeper started')
    return { port }
  }

  const startAfresh = async (folder: string, config: string): Promise<number> => {
    await jobs.kill(folder, JOB)
    await jobs.start({ folder, name: JOB, argv: argvOf(folder), onNode: false, stdin: `${config}\n` })
    return await listening(folder, performance.now())
  }

  const listening = async (folder: string, began: number): Promise<number> => {
    for (;;) {
      const state = await ask(folder, { do: 'state' })
      if (state) return state.port
      const late = performance.now() - began > PATIENCE_MS
      if (late || (await jobs.state(folder, JOB)).is !== 'running') {
        const said = await readLogEnd(jobFiles(hostRoot, folder, JOB))
        const message = `the page keeper in ${folder} ${late ? 'is silent' : 'ended at once'}: ${said}`
        throw new PodferryError({ reason: 'KeeperNotStarted', message, retry: 'backoff' })
      }
      await delay(POLL_MS)
    }
  }

  const ask = async (folder: string, request: Parameters<typeof askKeeper>[1]): Promise<KeeperState | undefined> => {
    try {
      return await askKeeper(seen(folder), request)
    } catch (cause) {
      const message = `the page keeper in ${folder} does not ${request.do}: ${cause instanceof Error ? cause.message : cause}`
      throw new PodferryError({ reason: 'KeeperRefused', message, retry: 'backoff', cause })
    }
  }

  return {
    prepare: (folder) =>
      inTurn(folder, async () => {
        if ((await jobs.state(folder, JOB)).is !== 'absent') return
        const gate = gateIn(folder)
        await makeGate(seen(gate))
        await jobs.start({ folder, name: JOB, argv: argvOf(folder), onNode: false, gate })
      }),
    startSource: ({ folder, address, peerNode }) =>
      start(folder, { role: 'source', folder: seen(folder), address, peerNode }),
    startDestination: ({ folder, peerNode, peerAddress, peerPort, pidFile, exitFile, deliveredFile }) => {
      const place = {
        folder: seen(folder),
        pidFile: seen(pidFile),
        exitFile: seen(exitFile),
        deliveredFile: seen(deliveredFile),
      }
      return start(folder, { role: 'destination', ...place, peerNode, peerAddress, peerPort })
    },
    async state(folder) {
      const living = await ask(folder, { do: 'state' })
      if (living) return living
      const last = readKeeperState(seen(folder))
      return last && hasEnded(last.phase) ? { ...last, connected: false } : undefined
    },
    async open(folder, port) {
      if (await ask(folder, { do: 'open', port })) return
      const message = `no page keeper lives in ${folder}; its log says why`
      throw new PodferryError({ reason: 'KeeperRefused', message })
    },
    async abort(folder) {
      // A keeper that hangs is passed by; one that has its reason is heard.
      const answer = await ask(folder, { do: 'abort' }).catch((error: unknown) => error)
      if (answer !== undefined && !(answer instanceof Error)) return
      const last = readKeeperState(seen(folder))
      if (answer instanceof Error && last?.phase === 'finished') throw answer
      if (last === undefined || hasEnded(last.phase)) return
      const until = Date.now() + HOLDER_MS
      do {
        if (await abortByHolder(seen(folder))) return log.warn({ folder }, 'the dump was aborted by the holder')
        await delay(POLL_MS)
      } while (last.phase === 'open' && Date.now() < until)
      if (answer instanceof Error) throw answer
    },
    end: (folder) => inTurn(folder, () => jobs.kill(folder, JOB)),
  }
}
