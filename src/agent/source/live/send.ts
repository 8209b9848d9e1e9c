/** Parts of a pod on their way to the destination agent: again and again, until each is there or patience ends. */

import type { Readable } from 'node:stream'
import { allSettled } from '../../../all-settled.ts'
import type { Migration } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import { backoffMs } from '../../../kube/backoff.ts'
import type { AgentContext } from '../../context.ts'
import type { LivePeer } from '../../peer/live-client.ts'
import { referenceOf } from '../../status.ts'
import { destination } from '../deliver.ts'
import { isDiskFull } from '../failure.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'

export interface Part {
  /** For the log. */
  what: string
  /** Resolves when the destination agent has it in place. */
  send(peer: LivePeer): Promise<{ bytes: number }>
}

interface Sending {
  migration: Migration
  entry: LiveEntry
  /** Of this process, and told of the keepers already; without it the destination agent is told first. */
  peer?: LivePeer | undefined
  /** For so long nothing may go forward. */
  patienceMs: number
  signal: AbortSignal
}

/** What the destination agent says for good, or this node's own disk or storage: to try again would only make the pod stand still for longer. */
const FINAL: ReadonlySet<string> = new Set([
  'AlreadyBegun',
  'ContainerReplaced',
  'DestinationUnreachable',
  'DiskFull',
  'DiskTooSmall',
  'LazyPagesLost',
  'RootUnknown',
  'UnknownFiles',
  'VolumeNotSynced',
])

/** Whether by an error of `sendAll` the move comes to nothing, for the reason that it has. */
export const isGivenUp = (error: unknown): error is PodferryError =>
  error instanceof PodferryError && FINAL.has(error.reason)

const BACKOFF = { baseMs: 50, maxMs: 2_000 }

/**
 * Resolves when the destination agent has answered for every part in this very call.
 *
 * @returns the bytes of all parts, and a peer that later parts may use
 * @throws PodferryError `DestinationUnreachable` when patience ends, or with the destination's own reason; an AbortError when the signal says that nobody wants them
 */
export async function sendAll(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  { migration, entry, peer: known, patienceMs, signal }: Sending,
  parts: readonly Part[],
): Promise<{ bytes: number; peer: LivePeer }> {
  const left = new Set(parts)
  let bytes = 0
  let peer = known
  let failures = 0
  let forwardAt = ctx.now().getTime()
  for (;;) {
    try {
      peer ??= await begin(ctx, deps, migration, entry, signal)
      const begun = peer
      await allSettled(
        [...left].map(async (part) => {
          bytes += (await part.send(begun)).bytes
          left.delete(part)
          failures = 0
          forwardAt = ctx.now().getTime()
        }),
      )
      return { bytes, peer }
    } catch (error) {
      signal.throwIfAborted()
      if (isGivenUp(error)) throw error
      // Another agent may serve that node by now: it must be told of the keepers before anything else.
      peer = undefined
      const waitMs = backoffMs(BACKOFF, ++failures, Math.random())
      const missing = [...left].map(({ what }) => what)
      ctx.log.warn({ migration: entry.name, err: error, failures, missing, waitMs }, 'sending failed; sending again')
      if (ctx.now().getTime() - forwardAt > patienceMs) throw unreachable(migration, missing, error)
      await deps.sleep(waitMs, signal)
    }
  }
}

/** A part that is packed while it is sent; what fails on one end, ends the other. */
export const packed = (
  what: string,
  pack: () => { body: Readable; done: Promise<void> },
  send: (peer: LivePeer, body: Readable) => Promise<{ bytes: number }>,
): Part => ({
  what,
  async send(peer) {
    const { body, done } = pack()
    let noRoom: PodferryError | undefined
    try {
      const whole = done.catch((error) => {
        // The other end says only that the body broke off.
        if (hasNoRoom(error)) noRoom = diskFull(what, error)
        body.destroy(error)
        throw error
      })
      const sent = send(peer, body).finally(() => body.destroy())
      const [answer] = await allSettled([sent, whole]).catch((error) => {
        throw noRoom ?? error
      })
      return answer
    } finally {
      body.destroy()
    }
  },
})

/** By tar's own words too. */
const hasNoRoom = (error: unknown): boolean => isDiskFull(error) || /No space left on device/.test(String(error))

const diskFull = (what: string, cause: unknown): PodferryError =>
  new PodferryError({
    reason: 'DiskFull',
    message: `/run/podferry on the source node is full, ${what} cannot be packed; free space there`,
    cause,
  })

async function begin(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  migration: Migration,
  entry: LiveEntry,
  signal: AbortSignal,
): Promise<LivePeer> {
  const { namespace, name, uid } = referenceOf(migration)
  const node = await destination(ctx, migration)
  const peer = deps.openPeer({ node, namespace, migrationName: name, migrationUID: uid, signal })
  await peer.begin({ containers: entry.containers.map(({ name, pagePort = 0 }) => ({ name, pagePort })) })
  return peer
}

function unreachable({ status }: Migration, missing: string[], cause: unknown): PodferryError {
  const said = cause instanceof Error ? cause.message : String(cause)
  return new PodferryError({
    reason: 'DestinationUnreachable',
    message: `the agent of node ${status?.destination?.node} has not taken ${missing.join(', ') || 'the beginning'} for too long: ${said}`,
    cause,
  })
}
