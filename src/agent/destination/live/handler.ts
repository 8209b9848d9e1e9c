/** The destination side of Live Migrations: looks, plans, does the next thing that is missing. */
import type { Migration } from '../../../api/migration.ts'
import type { AgentContext } from '../../context.ts'
import type { LiveReceiver } from '../../peer/live-server.ts'
import type { DestinationHandler } from '../handler.ts'
import type { LiveDestinationDependencies } from './dependencies.ts'
import { createLiveAgent, factsOf, forgetFacts, rfc3339 } from './live-agent.ts'
import { open } from './open.ts'
import { type LiveDestinationAction, plan } from './plan.ts'
import { createLiveReceiver } from './receiver.ts'
import { remove } from './remove.ts'
import * as report from './report.ts'
import { release } from './restore.ts'
import { settle } from './settle.ts'
import { stagedPods } from './staging.ts'
import { watchPages } from './stream.ts'
import { endOrphan, sweep } from './sweep.ts'

export function createLiveDestination(
  ctx: AgentContext,
  deps: LiveDestinationDependencies,
): DestinationHandler & { receiver: LiveReceiver } {
  const live = createLiveAgent(ctx, deps)

  const act = async ({ do: step }: LiveDestinationAction, migration: Migration): Promise<number | undefined> => {
    if (step === 'wait') return undefined
    factsOf(live, migration)
    if (step === 'remove') return await remove(live, migration, report.removed(rfc3339(live)))
    if (step === 'cleanUp') return await remove(live, migration, report.cleaned(rfc3339(live)))
    const podUID = migration.status?.destination?.podUID
    if (podUID === undefined) return undefined
    const steps = { open, release, watchPages, settle }
    return await steps[step](live, migration, podUID)
  }

  return {
    receiver: createLiveReceiver(live),
    reconcile: (migration) => act(plan(migration.status, ctx.nodeName), migration),

    async forget(uid) {
      const podUID = live.known.get(uid)?.podUID
      await deps.uploads.abort(uid)
      // Its pod may still be there; the sweep takes the rest away when it is gone.
      if (podUID !== undefined && (await stagedPods(ctx.hostRoot)).includes(podUID)) await endOrphan(live, podUID, true)
      forgetFacts(live, uid)
    },

    sweep: () => sweep(live),
  }
}
