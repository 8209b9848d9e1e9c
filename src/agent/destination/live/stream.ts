/** Step 10: watches the memory arrive, or decides that it cannot. */
import type { Migration } from '../../../api/migration.ts'
import type { KeeperState } from '../../pages/keeper-state.ts'
import type { Keepers } from '../../pages/keepers.ts'
import { lazyLost, lazyState } from './lazy-pages.ts'
import { about, type Facts, factsOf, type LiveAgent, namesOf, rfc3339, write } from './live-agent.ts'
import { markArrived } from './marks.ts'
import { judgePages, lookAtPages } from './pages.ts'
import * as report from './report.ts'
import { containerFolder, isRefused, refuse } from './staging.ts'

const PAGES_MS = 50
const KEEPER_LOOK_MS = 2_000
const PROGRESS_MS = 5_000
const UNHEARD: KeeperState = {
  phase: 'waiting',
  connected: false,
  sentBytes: 0,
  receivedBytes: 0,
  silentMs: 0,
  port: 0,
}

export async function watchPages(live: LiveAgent, migration: Migration, podUID: string): Promise<number | undefined> {
  const { deps, hostRoot, log } = live
  const facts = factsOf(live, migration)
  // After the register: a container that ends in between is refused, kubelet tries again.
  if (!facts.isMarked && !(await isRefused(hostRoot, podUID))) await markArrived(hostRoot, podUID)
  facts.isMarked = true
  const views = await lookAtPages(hostRoot, deps.jobs, podUID, namesOf(migration), keeperAsker(deps.keepers, facts))
  const verdict = judgePages(views)
  if (verdict.kind === 'pending') {
    if (performance.now() - facts.progressAt >= PROGRESS_MS) {
      facts.progressAt = performance.now()
      await write(live, migration, report.progress(verdict.receivedBytes))
    }
    return PAGES_MS
  }
  if (verdict.kind === 'arrived') {
    await write(live, migration, report.pagesArrived(rfc3339(live)))
    log.info(about(live, migration), 'all memory has arrived')
    return undefined
  }
  // Before the register: from the decision on, nothing may start afresh here.
  await refuse(hostRoot, podUID)
  const place = { hostRoot, jobs: deps.jobs, folder: containerFolder(podUID, verdict.container) }
  const { criuLog } = await lazyLost(place, await lazyState(place))
  const message = `${verdict.message}; the source goes on, and what the destination did since the commit is undone`
  log.warn({ ...about(live, migration), criuLog }, message)
  await write(live, migration, report.pagesLost({ reason: 'PagesLost', message, criuLog }, rfc3339(live)))
  return undefined
}

/** Asks each keeper now and then. One that hangs, or never answers, is silent for as long as nothing was heard of it. */
function keeperAsker(keepers: Keepers, facts: Facts) {
  const isDue = performance.now() - facts.keepersLookedAt >= KEEPER_LOOK_MS
  if (isDue) facts.keepersLookedAt = performance.now()
  return async (name: string, folder: string): Promise<KeeperState | undefined> => {
    const before = facts.keepers.get(name)
    if (before && !isDue) return before
    const heardAt = facts.keepersHeardAt.get(name) ?? performance.now()
    facts.keepersHeardAt.set(name, heardAt)
    const silent: KeeperState = { ...(before ?? UNHEARD), silentMs: performance.now() - heardAt }
    const said = await keepers.state(folder).catch(() => silent)
    if (said !== silent) facts.keepersHeardAt.set(name, performance.now())
    if (said) facts.keepers.set(name, said)
    else facts.keepers.delete(name)
    return said
  }
}
