/** All memory is there: the pod becomes an ordinary one. */
import type { Migration } from '../../../api/migration.ts'
import { sayDelivered } from './keeper.ts'
import { about, factsOf, finish, type LiveAgent, rfc3339 } from './live-agent.ts'
import { markArrived } from './marks.ts'
import { removeTraces } from './removal.ts'
import * as report from './report.ts'
import { containerFolder, stagedContainers } from './staging.ts'

/** The keeper tells its twin within a round trip, or as soon as the link is back. */
const FAREWELL_MS = 30_000
const SETTLE_MS = 100

export async function settle(live: LiveAgent, migration: Migration, podUID: string): Promise<number | undefined> {
  const { deps, hostRoot } = live
  await markArrived(hostRoot, podUID)
  const facts = factsOf(live, migration)
  if (facts.settlingSince === undefined) {
    for (const name of await stagedContainers(hostRoot, podUID)) {
      // On a full disk the source goes by the register alone; the keepers' farewell is not waited for beyond its patience.
      await sayDelivered({ hostRoot, folder: containerFolder(podUID, name) }).catch((err) =>
        live.log.warn({ ...about(live, migration), err }, 'the page keeper is not told that all has arrived'),
      )
    }
    facts.settlingSince = performance.now()
  }
  if (performance.now() - facts.settlingSince < FAREWELL_MS && (await isSayingFarewell(live, podUID))) return SETTLE_MS
  await removeTraces(hostRoot, deps, podUID)
  await finish(live, migration, report.cleaned(rfc3339(live)), 'the destination pod is an ordinary pod now')
  return undefined
}

/** The source is told by the keeper that its process is needed no more; until then the keeper must live. */
async function isSayingFarewell(live: LiveAgent, podUID: string): Promise<boolean> {
  const { deps, hostRoot } = live
  const folders = (await stagedContainers(hostRoot, podUID)).map((name) => containerFolder(podUID, name))
  const states = await Promise.all(folders.map((folder) => deps.keepers.state(folder)))
  return states.some((state) => state?.phase === 'waiting' || state?.phase === 'open')
}
