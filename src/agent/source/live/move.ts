/** The source's whole part in one go, from the first copy to the commit. */
import type { Migration } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import type { AgentContext } from '../../context.ts'
import { type Failure, failureFrom } from '../failure.ts'
import { tellPod } from '../pods.ts'
import { bringBack, RESTARTED, unwind } from './abort.ts'
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
  const begun = await stop(ctx, deps, { migration, entry, signal })
  if (begun) await deliver(ctx, deps, { migration, ...begun, signal })
}

interface Stopping {
  migration: Migration
  /** As it is before anything is touched. */
  entry: LiveEntry
  signal: AbortSignal
}

/** What CRIU refuses for a moment's sake is tried so many times in all. */
const TRIES = 4
/** Longer than a request between two containers takes, so that the next try does not meet the same one; then twice as long each time. */
const PAUSE_MS = 300

/** @returns the fenced entry, or undefined when the failure is journalled and the pod runs on */
async function stop(ctx: AgentContext, deps: LiveSourceDependencies, stopping: Stopping, tries = 1) {
  const { migration, entry, signal } = stopping
  const { journal } = deps
  try {
    const { entry: copied, prepared } = await precopy(ctx, deps, migration, entry, signal)
    signal.throwIfAborted()
    return { entry: await cut(ctx, deps, copied), prepared }
  } catch (error) {
    const failure = signal.aborted ? RESTARTED : await failureOf(ctx, deps, error)
    const isLast = tries >= TRIES || signal.aborted || !mayPass(failure, entry)
    const about = { migration: entry.name, pod: entry.pod.name, reason: failure.reason, tries, err: error }
    ctx.log.warn(about, isLast ? 'dump failed' : 'dump failed; trying again')
    const journalled = journal.read(entry.uid) ?? entry
    if (!isLast) {
      tellPod(deps.recorder, entry, 'TryingAgain', `runs on, and is dumped once more soon: ${failure.message}`)
      // Killed in the middle of this the next agent unwinds it: the journal says `dumping` until the pod runs again.
      await bringBack(ctx, deps, journalled)
      await deps.sleep(PAUSE_MS * 2 ** (tries - 1), signal)
      await journal.write(entry)
      return await stop(ctx, deps, stopping, tries + 1)
    }
    const failed = { ...journalled, failure }
    // The reason must outlive a crash in the unwinding. A full disk must not stop it.
    await journal.write(failed).catch((err) => ctx.log.error({ err }, 'the reason of a failed dump is not journalled'))
    await unwind(ctx, deps, failed)
    return undefined
  }
}

/** A connection between two containers may be open for one request only; one to somebody outside the pod stays. */
const mayPass = ({ reason }: Failure, { containers }: LiveEntry): boolean =>
  ['ConnectionArriving', 'NotFreezable', 'SocketInFlight'].includes(reason) ||
  (reason === 'ExternalUnixSocket' && containers.length > 1)

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
