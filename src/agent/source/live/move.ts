/** The source's whole part in one go, from the first copy to the commit. */
import type { Migration } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import type { AgentContext } from '../../context.ts'
import { type Failure, failureFrom } from '../failure.ts'
import { RESTARTED, unwind } from './abort.ts'
import { cut } from './cut.ts'
import { deliver } from './deliver.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { precopy } from './precopy.ts'
import { isGivenUp } from './send.ts'

/**
 * Moves the pod of a journalled entry. Up to the fence a failure is unwound, and the journal says `failed`; after it only the
 * status decides, and this may be done again from `deliver`.
 *
 * @param signal ends the copy and the delivery; a dump that has been begun comes to its fence first
 * @throws whatever keeps a failure from being unwound; the journal then still says `preparing` or `dumping`
 */
export async function move(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  migration: Migration,
  entry: LiveEntry,
  signal: AbortSignal,
): Promise<void> {
  const { journal } = deps
  const begun = await precopy(ctx, deps, migration, entry, signal)
    .then(async ({ entry: copied, prepared }) => {
      signal.throwIfAborted()
      return { entry: await cut(ctx, deps, copied), prepared }
    })
    .catch(async (error) => {
      const failure = signal.aborted ? RESTARTED : await failureOf(ctx, deps, error)
      ctx.log.warn({ migration: entry.name, pod: entry.pod.name, reason: failure.reason, err: error }, 'dump failed')
      const failed = { ...(journal.read(entry.uid) ?? entry), failure }
      // The reason must outlive a crash in the unwinding. A full disk must not stop it.
      await journal
        .write(failed)
        .catch((err) => ctx.log.error({ err }, 'the reason of a failed dump is not journalled'))
      await unwind(ctx, deps, failed)
    })
  if (begun) await deliver(ctx, deps, { migration, ...begun, signal })
}

/** On a full disk CRIU can't even say why. */
async function failureOf(
  { nodeName }: AgentContext,
  { places }: LiveSourceDependencies,
  error: unknown,
): Promise<Failure> {
  const failure = named(failureFrom(error, criuLogOf(error)))
  if (failure.reason === 'DiskFull' || isGivenUp(error) || !(await places.isFull().catch(() => false))) return failure
  const message = `/run/podferry on node ${nodeName} is full, free space there: ${failure.message}`
  return { ...failure, reason: 'DiskFull', message }
}

/** A page keeper that does not live or not answer was killed, as a dump can be. */
const named = (failure: Failure): Failure =>
  failure.reason === 'KeeperRefused' ? { ...failure, reason: 'DumpLost' } : failure

const criuLogOf = (error: unknown): string[] => (error instanceof PodferryError ? [...error.criuLog] : [])
