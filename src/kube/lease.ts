import type { KubeObject, Resource } from './resource.ts'

/** coordination.k8s.io/v1 Lease, the fields of leader election. */
export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string
    leaseDurationSeconds?: number
    /** RFC 3339 with microseconds. */
    acquireTime?: string
    renewTime?: string
    leaseTransitions?: number
  }
}

export const leases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  namespaced: true,
}

/** The three times of leader election, in milliseconds. */
export interface LeaseTiming {
  /** How long others wait after the last renewal they saw. */
  durationMs: number
  /** How long the leader acts after the last renewal that succeeded. Must be shorter than durationMs. */
  renewDeadlineMs: number
  /** How often the leader renews and the others look. */
  retryMs: number
}

/** The defaults of client-go and of every Kubernetes component. */
export const defaultLeaseTiming: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 }

/** What one candidate knows of the lease: its last state, and when, by the candidate's own clock, that state was first seen. */
export interface LeaseObservation {
  fingerprint: string
  seenAt: number
}

/**
 * Takes a look at the lease into account. Time stamps inside the lease are other machines' clocks, so they serve only to tell
 * that something changed.
 * @param now the candidate's monotonic clock, read after the answer came: the holder renewed before that
 */
export function observeLease(previous: LeaseObservation | undefined, lease: Lease, now: number): LeaseObservation {
  const fingerprint = JSON.stringify([lease.metadata.uid, lease.spec])
  return previous?.fingerprint === fingerprint ? previous : { fingerprint, seenAt: now }
}

/**
 * What a candidate may do: `renew` its own lease, `take` one that is free or was not renewed for its whole duration, or `wait`.
 * The write that follows must carry the resourceVersion of `lease`, so that of two takers one loses.
 * @param now the candidate's monotonic clock, read before the lease was asked for
 * @param isDead tells holders that are known to be gone, whose term need not be waited out
 */
export function decideLease(
  lease: Lease,
  observation: LeaseObservation,
  identity: string,
  now: number,
  isDead: (holder: string) => boolean = () => false,
): 'renew' | 'take' | 'wait' {
  const holder = lease.spec?.holderIdentity ?? ''
  if (holder === identity) return 'renew'
  if (holder === '' || isDead(holder)) return 'take'
  const durationMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1000
  return now > observation.seenAt + durationMs ? 'take' : 'wait'
}

/** The spec to write when renewing or taking. */
export function claimedSpec(
  lease: Lease | undefined,
  identity: string,
  timing: LeaseTiming,
  date: Date,
): NonNullable<Lease['spec']> {
  const spec = lease?.spec
  const mine = spec?.holderIdentity === identity
  const now = microTime(date)
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(timing.durationMs / 1000),
    acquireTime: mine ? (spec.acquireTime ?? now) : now,
    renewTime: now,
    leaseTransitions: (spec?.leaseTransitions ?? 0) + (mine || lease === undefined ? 0 : 1),
  }
}

/** The spec to write when stepping down: nobody holds it, and others need not wait. */
export function releasedSpec(lease: Lease, date: Date): NonNullable<Lease['spec']> {
  const now = microTime(date)
  return {
    holderIdentity: '',
    leaseDurationSeconds: 1,
    acquireTime: now,
    renewTime: now,
    leaseTransitions: lease.spec?.leaseTransitions ?? 0,
  }
}

// metav1.MicroTime: the API server refuses milliseconds alone.
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
