/** The one write that hands the pod over. */

import { phaseOf } from '../../../api/conditions.ts'
import type { Migration } from '../../../api/migration.ts'
import { CANCEL_ANNOTATION } from '../../../api/names.ts'
import { MIGRATIONS } from '../../../api/resources.ts'
import { backoffMs } from '../../../kube/backoff.ts'
import { isNotFound } from '../../../kube/error.ts'
import { commitStatus } from '../../../kube/status.ts'
import type { AgentContext } from '../../context.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { committed, isCommittable } from './report.ts'
import { watchPages } from './watch.ts'

/** What the destination agent has answered for, in this very run of the delivery. */
interface Staged {
  stageMs: number
  filesystemBytes: number
}

const BACKOFF = { baseMs: 20, maxMs: 2_000 }
/** Somebody asks to cancel: the controller decides that within moments. */
const CANCEL_MS = 500

/**
 * Commits, unless something speaks against it: then it only returns, and the next look at the Migration says what to do.
 *
 * @param seen the Migration as last written or read; decided on as long as nobody has written since
 * @returns whether the answer to the write has come
 */
export async function commit(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  options: { entry: LiveEntry; seen: Migration; staged: Staged; signal: AbortSignal },
): Promise<boolean> {
  const { client, log, now } = ctx
  const { entry, staged, signal } = options
  let observed: Migration | undefined = options.seen
  for (let failures = 0; ; ) {
    let waitMs = CANCEL_MS
    try {
      // After a write without an answer too: it may have happened.
      observed ??= await client.get(MIGRATIONS, entry.namespace, entry.name)
      if (observed.metadata.uid !== entry.uid || !isCommittable(observed.status ?? {})) return false
      if (!isCancelled(observed)) {
        if (!(await isFenced(deps, entry))) return false
        const change = committed(entry, staged, now().toISOString())
        await commitStatus(client, MIGRATIONS, observed, (migration) => {
          const status = change(migration.status ?? {})
          return { ...migration, status: { ...status, phase: phaseOf(status) } }
        })
        return true
      }
    } catch (error) {
      if (isNotFound(error)) return false
      waitMs = backoffMs(BACKOFF, ++failures, Math.random())
      log.warn({ migration: entry.name, err: error, waitMs }, 'not committed; reading again')
    }
    observed = undefined
    await deps.sleep(waitMs, signal)
  }
}

/** The last look before the write: nothing but this agent ends what it sees here, but for somebody's violence. */
async function isFenced(deps: LiveSourceDependencies, { uid, cgroup, containers }: LiveEntry): Promise<boolean> {
  const { fence, journal } = deps
  const [pages, claimed] = await Promise.all([watchPages(deps, { uid, containers }), fence.isClaimed(cgroup, uid)])
  if (pages !== 'served' || !claimed || journal.read(uid)?.step !== 'fenced') return false
  return await fence.isFrozen(cgroup)
}

const isCancelled = ({ metadata }: Migration): boolean =>
  metadata.deletionTimestamp !== undefined || metadata.annotations?.[CANCEL_ANNOTATION] !== undefined
