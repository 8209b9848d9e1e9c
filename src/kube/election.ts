import type { Logger } from 'pino'
import type { KubeClient } from './client.ts'
import { type Clock, sleep, systemClock } from './clock.ts'
import { isNotFound } from './error.ts'
import {
  claimedSpec,
  decideLease,
  defaultLeaseTiming,
  type Lease,
  type LeaseObservation,
  type LeaseTiming,
  leases,
  observeLease,
  releasedSpec,
} from './lease.ts'

interface ElectionOptions {
  client: KubeClient
  namespace: string
  /** Name of the Lease. */
  name: string
  /** This process, different from every other and from its own predecessor: pod name and a random part. */
  identity: string
  /**
   * Holders that are known to be gone: their term need not be waited out. A container's predecessor in the same pod is one,
   * because kubelet starts a container only after the last one has ended.
   */
  isDead?: (holder: string) => boolean
  log: Logger
  /** Leading begins; the signal aborts the moment it may be over. */
  onAcquired: (signal: AbortSignal) => void
  /** Leading is over against our will: the process must stop acting at once, best by exiting. */
  onLost: () => void
  timing?: LeaseTiming
  clock?: Clock
  random?: () => number
}

export interface Election {
  /** Right even when timers are late (a stopped process): ask before an effect that has no precondition of its own. */
  isLeader(): boolean
  /** Steps down and releases the lease, so that the next leader need not wait. Call it when all work has ended. */
  stop(): Promise<void>
}

/** A process that steps down is about to end: it must not hang at an API server that does not answer. */
const RELEASE_MS = 2_000

/**
 * Leader election by the rules of client-go. Once leadership is lost the election is over: the process restarts and stands again.
 * A leader stops acting `renewDeadlineMs` after it *sent* its last successful renewal; others wait `durationMs` after they *saw*
 * it. Between the two lies the room for clocks that run at different speeds.
 */
export function startElection(options: ElectionOptions): Election {
  const { client, namespace, name, identity, log, clock = systemClock, random = Math.random } = options
  const timing = options.timing ?? defaultLeaseTiming
  const stopping = new AbortController()
  const leading = new AbortController()
  let observation: LeaseObservation | undefined
  let held: Lease | undefined
  let heldUntil = Number.NEGATIVE_INFINITY
  let cancelExpiry = () => {}
  let mayHold = false

  const isLeader = () => held !== undefined && !leading.signal.aborted && clock.now() < heldUntil

  const lose = () => {
    if (leading.signal.aborted || stopping.signal.aborted) return
    log.error({ lease: name, identity }, 'leadership lost')
    leading.abort()
    options.onLost()
  }

  const claimed = (lease: Lease, sentAt: number) => {
    if (stopping.signal.aborted) return
    const first = held === undefined
    held = lease
    heldUntil = sentAt + timing.renewDeadlineMs
    cancelExpiry()
    // The timer does not wait for a renewal under way: a hanging request must not prolong leadership.
    cancelExpiry = clock.after(Math.max(0, heldUntil - clock.now()), lose)
    if (!first) return
    log.info({ lease: name, identity }, 'leading')
    options.onAcquired(leading.signal)
  }

  const attempt = async () => {
    const sentAt = clock.now()
    const call = { signal: stopping.signal, timeoutMs: timing.renewDeadlineMs }
    const lease = await client.get(leases, namespace, name, call).catch((error) => {
      if (isNotFound(error)) return undefined
      throw error
    })
    if (lease === undefined) {
      const spec = claimedSpec(undefined, identity, timing, clock.date())
      mayHold = true
      const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec }
      return claimed(await client.create(leases, object, call), sentAt)
    }
    observation = observeLease(observation, lease, clock.now())
    const decision = decideLease(lease, observation, identity, sentAt, options.isDead)
    // No longer ours although we led: we were away for longer than its duration.
    if (decision !== 'renew' && held !== undefined) return lose()
    if (decision === 'wait') return
    mayHold = true
    const spec = claimedSpec(lease, identity, timing, clock.date())
    claimed(await client.replace(leases, { ...lease, spec }, call), sentAt)
  }

  const run = async () => {
    while (!stopping.signal.aborted && !leading.signal.aborted) {
      await attempt().catch((error) => {
        if (!stopping.signal.aborted) log.warn({ err: error, lease: name, identity }, 'the lease cannot be claimed')
      })
      // Candidates that look at one moment would collide at each look.
      await sleep(clock, timing.retryMs * (held === undefined ? 1 + 0.2 * random() : 1), stopping.signal)
    }
  }
  const running = run()

  return {
    isLeader,
    async stop() {
      stopping.abort()
      leading.abort()
      cancelExpiry()
      await running
      if (!mayHold) return
      try {
        // The renewal just cut off may have been written: read again, and let the resourceVersion guard the rest.
        const lease = await client.get(leases, namespace, name, { timeoutMs: RELEASE_MS })
        if (lease.spec?.holderIdentity !== identity) return
        await client.replace(leases, { ...lease, spec: releasedSpec(lease, clock.date()) }, { timeoutMs: RELEASE_MS })
      } catch (error) {
        log.warn(
          { err: error, lease: name, identity },
          'the lease cannot be released; the next leader waits for its end',
        )
      }
    },
  }
}
