import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  claimedSpec,
  decideLease,
  defaultLeaseTiming,
  type Lease,
  type LeaseObservation,
  observeLease,
  releasedSpec,
} from './lease.ts'

const date = new Date(0)

function lease(spec: NonNullable<Lease['spec']> = {}, resourceVersion = '1'): Lease {
  const metadata = { namespace: 'default', name: 'l', uid: 'u', resourceVersion }
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
}

describe('lease', () => {
  const held = lease({ holderIdentity: 'other', leaseDurationSeconds: 15, renewTime: 'x' })
  const seen = observeLease(undefined, held, 1_000)
  const cases = [
    ['renews what is its own', lease({ holderIdentity: 'me' }), 1_000, 'renew'],
    ['takes what nobody holds', lease({ holderIdentity: '' }), 1_000, 'take'],
    ['takes a lease without spec', lease(), 1_000, 'take'],
    ['waits to the last moment of the duration', held, 16_000, 'wait'],
    ['takes what was not renewed for the whole duration', held, 16_001, 'take'],
  ] as const
  for (const [what, object, now, decision] of cases) {
    it(what, () => assert.equal(decideLease(object, seen, 'me', now), decision))
  }

  it('counts from the moment a renewal was seen, not from its time stamp', () => {
    assert.equal(observeLease(seen, held, 9_000).seenAt, 1_000)
    assert.equal(observeLease(seen, lease({ ...held.spec, renewTime: 'y' }), 9_000).seenAt, 9_000)
  })

  it('counts changes of hands only', () => {
    const first = claimedSpec(undefined, 'me', defaultLeaseTiming, date)
    assert.equal(first.leaseTransitions, 0)
    assert.equal(first.renewTime, '1970-01-01T00:00:00.000000Z')
    const renewed = claimedSpec(lease({ ...first, acquireTime: 'then' }), 'me', defaultLeaseTiming, date)
    assert.deepEqual([renewed.leaseTransitions, renewed.acquireTime], [0, 'then'])
    assert.equal(claimedSpec(lease(renewed), 'you', defaultLeaseTiming, date).leaseTransitions, 1)
    assert.equal(releasedSpec(lease(renewed), date).holderIdentity, '')
  })

  it('never has two leaders while clocks run within 20 % of each other, however slow the network', () => {
    // 10 s of one clock stay below 15 s of another as long as their speeds differ by less than 1.5.
    const speed = fc.double({ min: 0.9, max: 1.08, noNaN: true })
    const delayMs = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 9_000 }))
    const delays = fc.array(delayMs, { minLength: 7, maxLength: 40 })
    const lost = fc.array(fc.boolean(), { minLength: 5, maxLength: 11 })
    const cut = fc.record({ who: fc.nat(3), from: fc.nat(600_000), ms: fc.integer({ min: 1_000, max: 60_000 }) })
    const world = fc.record({
      speeds: fc.array(speed, { minLength: 2, maxLength: 4 }),
      delays: fc.oneof(fc.constant([5]), delays),
      losses: fc.oneof(fc.constant([false]), lost),
      cuts: fc.array(cut, { minLength: 4, maxLength: 20 }),
    })
    let changes = 0
    const property = fc.property(world, (drawn) => {
      changes += simulate(drawn)
    })
    fc.assert(property, { numRuns: 400 })
    assert.ok(changes > 300, 'the simulation must see leaders change')
  })
})

interface Candidate {
  identity: string
  speed: number
  observation: LeaseObservation | undefined
  leadsUntil: number
}

interface World {
  speeds: readonly number[]
  delays: readonly number[]
  losses: readonly boolean[]
  /** Times at which one candidate does not reach the API server. */
  cuts: readonly { who: number; from: number; ms: number }[]
}

/** Ten minutes of candidates that look, decide and write; requests and answers come late or never. Returns how often the lease changed hands. */
function simulate({ speeds, delays, losses, cuts }: World): number {
  let stored = lease()
  let version = 1
  let draws = 0
  const delay = () => delays[draws++ % delays.length] ?? 0
  const queue: { at: number; run: () => void }[] = []
  const at = (time: number, run: () => void) => queue.push({ at: time, run })
  const candidates = speeds.map((rate, index): Candidate => {
    return { identity: `c${index}`, speed: rate, observation: undefined, leadsUntil: -1 }
  })
  const local = (candidate: Candidate, time: number) => time * candidate.speed

  const isCut = (candidate: Candidate) =>
    cuts.some(({ who, from, ms }) => candidates[who] === candidate && now >= from && now < from + ms)

  const attempt = (candidate: Candidate, time: number) => {
    if (isCut(candidate)) return again(candidate)
    const sentAt = local(candidate, time)
    at(time + delay(), () => {
      const read = stored
      const answered = now + delay()
      at(answered, () => {
        candidate.observation = observeLease(candidate.observation, read, local(candidate, now))
        const decision = decideLease(read, candidate.observation, candidate.identity, sentAt)
        if (decision === 'wait') return again(candidate)
        at(now + delay(), () => write(candidate, read, sentAt))
      })
    })
  }

  const write = (candidate: Candidate, read: Lease, sentAt: number) => {
    const won = read.metadata.resourceVersion === stored.metadata.resourceVersion
    if (won) stored = lease(claimedSpec(read, candidate.identity, defaultLeaseTiming, new Date(now)), String(++version))
    const answerLost = losses[draws % losses.length] === true
    at(now + delay(), () => {
      if (won && !answerLost)
        candidate.leadsUntil = Math.max(candidate.leadsUntil, sentAt + defaultLeaseTiming.renewDeadlineMs)
      again(candidate)
    })
  }

  const again = (candidate: Candidate) =>
    at(now + defaultLeaseTiming.retryMs / candidate.speed, () => attempt(candidate, now))

  let now = 0
  for (const candidate of candidates) attempt(candidate, delay())
  while (now < 600_000) {
    queue.sort((left, right) => left.at - right.at)
    const next = queue.shift()
    if (next === undefined) break
    now = next.at
    next.run()
    const leaders = candidates.filter((candidate) => local(candidate, now) < candidate.leadsUntil)
    assert.ok(leaders.length <= 1, `two leaders at ${now}: ${leaders.map(({ identity }) => identity)}`)
  }
  return stored.spec?.leaseTransitions ?? 0
}

it('a holder that is known to be gone is not waited for', () => {
  const lease = {
    apiVersion: 'v1',
    kind: 'Lease',
    metadata: { name: 'l' },
    spec: { holderIdentity: 'pod_1', leaseDurationSeconds: 15 },
  }
  const seen = observeLease(undefined, lease, 0)
  assert.equal(decideLease(lease, seen, 'pod_2', 1), 'wait')
  assert.equal(
    decideLease(lease, seen, 'pod_2', 1, (holder) => holder.startsWith('pod_')),
    'take',
  )
})
