/** Effects that err: each breaks one promise on which the source side relies, and the random histories must notice. */
import type { LiveSourceDependencies } from '../dependencies.ts'

type Sabotage = (deps: LiveSourceDependencies) => LiveSourceDependencies

const OPEN = { phase: 'open', connected: true, sentBytes: 0, receivedBytes: 0, silentMs: 0, port: 1 } as const
const nothing = () => Promise.resolve()

export const sabotages = {
  'the pod always looks frozen': (deps) => ({
    ...deps,
    fence: { ...deps.fence, isFrozen: () => Promise.resolve(true) },
  }),
  'nothing is claimed': (deps) => ({ ...deps, fence: { ...deps.fence, claim: nothing } }),
  'paused containers stay paused': (deps) => ({ ...deps, fence: { ...deps.fence, thawWithin: nothing } }),
  'a thaw does nothing': (deps) => ({ ...deps, fence: { ...deps.fence, thaw: nothing } }),
  'the processes are let run in place of being killed': (deps) => ({
    ...deps,
    fence: { ...deps.fence, killAll: deps.fence.thaw },
  }),
  'pages always look served': (deps) => ({
    ...deps,
    jobs: { ...deps.jobs, state: () => Promise.resolve({ is: 'running', pid: 1 }) },
    keepers: { ...deps.keepers, state: () => Promise.resolve(OPEN) },
  }),
  'dumps are never killed': (deps) => ({ ...deps, jobs: { ...deps.jobs, kill: nothing } }),
  'CRIU always seems to serve': (deps) => ({
    ...deps,
    places: { ...deps.places, isServing: () => Promise.resolve(true) },
  }),
  'folders stay behind': (deps) => ({ ...deps, places: { ...deps.places, remove: nothing } }),
  'files are acknowledged, but not sent': (deps) => ({
    ...deps,
    openPeer: (options) => ({ ...deps.openPeer(options), sendFiles: () => Promise.resolve({ bytes: 1 }) }),
  }),
  'nothing is brought to the storage': (deps) => ({ ...deps, storage: { sync: nothing } }),
  'the journal keeps what is over': (deps) => ({ ...deps, journal: { ...deps.journal, remove: nothing } }),
} satisfies Record<string, Sabotage>

export type SabotageName = keyof typeof sabotages
