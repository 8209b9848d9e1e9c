/**
 * The destination side of mode Image where podferry's own OCI runtime restores: up to the commit it is that of the other handler, after it
 * the destination pod waits as in mode Live, for a state that is all here (docs/design/0001-image-mode.md).
 */
import { join } from 'node:path'
import { isFinished } from '../../../api/conditions.ts'
import type { Migration } from '../../../api/migration.ts'
import { MIGRATIONS } from '../../../api/resources.ts'
import type { AgentContext } from '../../context.ts'
import { referenceOf } from '../../status.ts'
import type { DestinationDependencies } from '../dependencies.ts'
import type { DestinationHandler } from '../handler.ts'
import { removeEverywhere, removeFromRegistry } from '../leftovers.ts'
import type { LiveDestinationDependencies } from '../live/dependencies.ts'
import { createLiveAgent, factsOf, finish, forgetFacts, type LiveAgent, namesOf, rfc3339 } from '../live/live-agent.ts'
import { markArrived } from '../live/marks.ts'
import { removeTraces } from '../live/removal.ts'
import { remove } from '../live/remove.ts'
import { stagedPods } from '../live/staging.ts'
import { endOrphan } from '../live/sweep.ts'
import { plan } from '../plan.ts'
import * as report from '../report.ts'
import { restore } from './restore.ts'
import { removeUnpacked, unpackedPods } from './unpacked.ts'
import { createWorks, type Works } from './works.ts'

type Dependencies = DestinationDependencies & LiveDestinationDependencies

export interface WrappedAgent extends LiveAgent {
  readonly deps: Dependencies & { /** The registry's, as this process sees it. */ storageRoot: string }
  readonly works: Works
}

/** @param before prepares the node, asks for what was delivered, and cleans up what was never committed */
export function createWrappedDestination(
  ctx: AgentContext,
  given: Dependencies,
  before: DestinationHandler,
): DestinationHandler {
  const storageRoot = join(given.places.hostRoot, given.places.registryRoot)
  const deps = { ...given, storageRoot }
  const agent: WrappedAgent = { ...createLiveAgent(ctx, deps), deps, works: createWorks() }
  const { hostRoot } = ctx

  const settle = async (migration: Migration) => {
    const podUID = migration.status?.destination?.podUID
    // The register is written: a restart of the container is an ordinary one from now on.
    if (podUID !== undefined) await markArrived(hostRoot, podUID)
    if (podUID !== undefined) await removeTraces(hostRoot, deps, podUID)
    await takeAway(podUID)
    for (const name of checkpointsOf(migration)) await removeFromRegistry(deps, name)
    await finish(agent, migration, report.cleaned(rfc3339(agent)), 'the destination pod is an ordinary pod now')
    return undefined
  }

  const takeAway = async (podUID: string | undefined) => {
    if (podUID === undefined) return
    await agent.works.end(podUID)
    await removeUnpacked(hostRoot, podUID)
  }

  return {
    async reconcile(migration) {
      factsOf(agent, migration)
      switch (plan(migration.status, ctx.nodeName).do) {
        case 'observe':
          return await restore(agent, migration)
        case 'settle':
          return await settle(migration)
        case 'remove':
          await takeAway(migration.status?.destination?.podUID)
          await removeEverywhere(deps, checkpointsOf(migration))
          return await remove(agent, migration, report.removed(rfc3339(agent)))
        default:
          return await before.reconcile(migration)
      }
    },

    async forget(uid) {
      const podUID = agent.known.get(uid)?.podUID
      if (podUID !== undefined) {
        await agent.works.end(podUID)
        // Its pod may still be there; the sweep takes the rest away when it is gone.
        if ((await stagedPods(hostRoot)).includes(podUID)) await endOrphan(agent, podUID, true)
        if (!(await stagedPods(hostRoot)).includes(podUID)) await removeUnpacked(hostRoot, podUID)
      }
      forgetFacts(agent, uid)
    },

    /** Staging folders and marks are swept in mode Live, for both. */
    async sweep() {
      const found = await unpackedPods(hostRoot)
      if (found.length === 0) return
      // Read after they were found: what came later is not among them.
      const [staged, { items }] = await Promise.all([stagedPods(hostRoot), ctx.client.list(MIGRATIONS)])
      const underWay = items
        .filter(({ status }) => !isFinished(status))
        .map(({ status }) => status?.destination?.podUID)
      for (const podUID of found) {
        if (!staged.includes(podUID) && !underWay.includes(podUID)) await removeUnpacked(hostRoot, podUID)
      }
    },
  }
}

const checkpointsOf = (migration: Migration) => {
  const { namespace, uid: migrationUID } = referenceOf(migration)
  return namesOf(migration).map((container) => ({ namespace, migrationUID, container }))
}
