/** The effects of the source side on a world of fakes. */
import type { Readable } from 'node:stream'
import { PodferryError } from '../../../../errors.ts'
import type { LivePeer } from '../../../peer/live-client.ts'
import type { LiveSourceDependencies } from '../dependencies.ts'
import type { LiveEntry } from '../entry.ts'
import type { Node } from './node.ts'

/** Every effect goes through here: a killed process has none. */
type Effect = <T>(run: () => T | Promise<T>) => Promise<T>

/** The agent of the destination, as the source sees it. */
export interface Destination {
  reachable: boolean
  /** Lost when that agent is restarted. */
  begun: boolean
  /** The reason for which it takes nothing more, and never will. */
  refusal: string | undefined
  /** What it has acknowledged to the agent process that asked, by name. */
  readonly staged: Map<string, object>
}

interface Fakes {
  node: Node
  destination: Destination
  journal: Map<string, LiveEntry>
  /** Which agent process this is. */
  process: object
  effect: Effect
  /** Whether the agent has its certificate. */
  certified(): boolean
  journalFull(): boolean
  /** The storage of the pod's claims does not answer. */
  storageSilent(): boolean
  sleep: LiveSourceDependencies['sleep']
  uid: string
  podUID: string
  /** Told before the fence ends, and afterwards. */
  beforeFenceEnds(by: 'thaw' | 'kill'): void
  afterwards(): void
}

const CGROUP = { version: 1, path: '/kubepods/pod', memoryPath: '/kubepods/pod' } as const
const BODY = { destroy: () => undefined } as unknown as Readable
export const DELTAS = ['layer', 'shm']
const ROOTS = [
  { root: 'layer', folder: '/layer', medium: 'disk' },
  { root: 'shm', folder: '/shm', medium: 'memory' },
] as const

export function fakeDependencies(world: Fakes): LiveSourceDependencies {
  const { node, destination, journal, process, effect, uid } = world
  const pack = () => ({ body: BODY, done: Promise.resolve() })

  const endFence = (by: 'thaw' | 'kill') => {
    if (node.frozen) world.beforeFenceEnds(by)
    if (by === 'kill') node.killed = true
    node.frozen = false
    node.synced = false
    world.afterwards()
  }
  const receive = (what: string) =>
    effect(() => {
      if (!destination.reachable || !destination.begun)
        throw new PodferryError({ reason: 'PeerBroke', message: 'the connection broke', retry: 'backoff' })
      const reason = destination.refusal
      if (reason !== undefined) throw new PodferryError({ reason, message: 'never', retry: 'backoff' })
      destination.staged.set(what, process)
      return { bytes: 1 }
    })
  const peer: LivePeer = {
    begin: () =>
      effect(() => {
        if (!destination.reachable) throw new PodferryError({ reason: 'PeerBroke', message: 'no answer' })
        destination.begun = true
      }),
    sendFiles: ({ root, level }) => receive(`${level} ${root}`),
    sendImages: ({ container }) => receive(container),
  }

  return {
    kubeletRoot: '/var/lib/kubelet',
    address: '192.0.2.1',
    wake: () => undefined,
    sleep: world.sleep,
    recorder: { event: () => undefined, flush: async () => undefined },
    openPeer: () => peer,
    files: {
      sourceRoots: () => effect(() => [...ROOTS]),
      isNeeded: () => Promise.resolve(true),
      packFiles: pack,
      packImages: pack,
    },
    storage: {
      sync: ({ name }) =>
        effect(() => {
          if (world.storageSilent())
            throw new PodferryError({ reason: 'VolumeNotSynced', message: `the storage of ${name} is silent` })
          node.synced = node.frozen
        }),
    },
    checkIdentity: () => {
      if (world.certified()) return
      throw new PodferryError({ reason: 'IdentityPending', message: 'no certificate yet', retry: 'backoff' })
    },
    journal: {
      setAside: [],
      read: (key) => journal.get(key),
      list: () => [...journal.values()],
      write: (entry) =>
        effect(() => {
          if (world.journalFull()) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
          journal.set(entry.uid, entry)
        }),
      remove: (key) => effect(() => void journal.delete(key)),
    },
    preflight: () => effect(() => undefined),
    places: {
      make: (_, containers) =>
        effect(() => {
          for (const name of containers) Object.assign(node.box(name), { folder: true, dump: undefined })
        }),
      containers: () => effect(() => [...node.boxes].filter(([, { folder }]) => folder).map(([name]) => name)),
      remove: () =>
        effect(() => {
          for (const box of node.boxes.values()) box.folder = false
        }),
      stoppedAt: () => Promise.resolve(undefined),
      isServing: (folder) => effect(() => node.box(folder).dump?.served === true),
      isFull: () => effect(() => false),
      said: () => effect(() => ({ criuLog: [...node.criuLog], runc: '' })),
      freePorts: (count) => effect(() => Array.from({ length: count }, (_, index) => index + 1)),
    },
    node: {
      exec: (argv) =>
        effect(() => {
          const box = [...node.boxes.values()].find(({ id }) => id === argv.at(-1))
          if (box && argv.includes('pause')) box.paused = true
          return { code: 0, stdout: JSON.stringify({ pid: 1, status: 'running' }), stderr: '' }
        }),
    },
    jobs: {
      start: ({ folder }) => effect(() => node.startDump(folder)),
      state: (folder) =>
        effect(() => {
          const { dump, folder: exists } = node.box(folder)
          if (dump === undefined || !exists) return { is: 'absent' }
          return dump.job === 'running' ? { is: 'running', pid: 1 } : { is: 'ended', exitCode: dump.job }
        }),
      lives: (folder) => effect(() => [undefined, 'gone'].every((end) => node.box(folder).dump?.criu !== end)),
      kill: (folder) => effect(() => node.killDump(folder)),
    },
    unmark: () => effect(() => undefined),
    keepers: {
      startSource: ({ folder }) =>
        effect(() => {
          node.box(folder).keeper = { phase: 'waiting', lives: true }
          return { port: 1 }
        }),
      prepare: () => Promise.reject(new Error('not here')),
      startDestination: () => Promise.reject(new Error('not here')),
      state: (folder) =>
        effect(() => {
          const { keeper } = node.box(folder)
          const ended = keeper && ['finished', 'aborted', 'failed'].includes(keeper.phase)
          if (keeper === undefined || (!keeper.lives && !ended)) return undefined
          return { phase: keeper.phase, connected: true, sentBytes: 0, receivedBytes: 0, silentMs: 0, port: 1 }
        }),
      open: (folder) => effect(() => node.openKeeper(folder)),
      abort: (folder) => effect(() => node.abortByKeeper(folder)),
      end: (folder) => effect(() => node.endKeeper(folder)),
    },
    fence: {
      find: () => effect(() => CGROUP),
      announce: () => Promise.reject(new Error('not here')),
      withdraw: () => Promise.reject(new Error('not here')),
      claim: () => effect(() => void Object.assign(node, { claimed: uid })),
      isClaimed: () => effect(() => node.claimed === uid),
      claimant: () => effect(() => node.claimed || undefined),
      clear: () => effect(() => void Object.assign(node, { claimed: '' })),
      freeze: () => effect(() => node.freeze()),
      state: () => effect(() => (node.frozen ? 'frozen' : 'thawed')),
      isFrozen: () => effect(() => node.frozen),
      thaw: () => effect(() => endFence('thaw')),
      thawWithin: () =>
        effect(() => {
          for (const box of node.boxes.values()) box.paused = false
          world.afterwards()
        }),
      killAll: () =>
        effect(() => {
          endFence('kill')
          for (const box of node.boxes.values()) box.paused = false
        }),
      memoryBytes: () => effect(() => 1),
    },
  }
}
