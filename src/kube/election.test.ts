import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from './client.ts'
import { type Election, startElection } from './election.ts'
import { leases } from './lease.ts'
import { type FakeApiServer, startFakeApiServer } from './testing/fake-api-server.ts'
import { silentLog } from './testing/silent-log.ts'
import { until } from './testing/until.ts'

const timing = { durationMs: 1_000, renewDeadlineMs: 300, retryMs: 20 }
/** No test waits for so long: who leads meanwhile has not waited for the lease to run out. */
const long = { durationMs: 600_000, renewDeadlineMs: 300_000, retryMs: 20 }

interface Candidate {
  election: Election
  told: string[]
  signal: AbortSignal | undefined
}

function stand(server: FakeApiServer, identity: string, times = timing): Candidate {
  const client = createClient({ connection: server.connection(), role: 'test' })
  const told: string[] = []
  const candidate: Candidate = {
    told,
    signal: undefined,
    election: startElection({
      client,
      namespace: 'default',
      name: 'controller',
      identity,
      timing: times,
      log: silentLog,
      onAcquired(signal) {
        candidate.signal = signal
        told.push('acquired')
      },
      onLost: () => told.push('lost'),
    }),
  }
  return candidate
}

describe('election', () => {
  it('has one leader, and the next at once when that one steps down', async () => {
    await using server = await startFakeApiServer()
    const first = stand(server, 'first', long)
    await until('the first leads', () => first.election.isLeader())
    const second = stand(server, 'second', long)
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(second.election.isLeader(), false)
    await first.election.stop()
    assert.equal(first.election.isLeader(), false)
    await until('the second leads', () => second.election.isLeader())
    assert.equal(server.objects(leases)[0]?.spec?.leaseTransitions, 1)
    await second.election.stop()
    assert.deepEqual([first.told, second.told], [['acquired'], ['acquired']])
  })

  it('stops acting before anybody else may lead when the API server no longer answers', async () => {
    await using server = await startFakeApiServer()
    const first = stand(server, 'first')
    await until('the first leads', () => first.election.isLeader())
    server.failNext(500, 'InternalError', { times: 1_000 })
    await until('the first is told', () => first.told.includes('lost'))
    assert.equal(first.election.isLeader(), false)
    assert.equal(first.signal?.aborted, true)
    assert.equal(server.objects(leases)[0]?.spec?.holderIdentity, 'first')
    await first.election.stop()
  })

  it('is lost when somebody else holds the lease', async () => {
    await using server = await startFakeApiServer()
    const first = stand(server, 'first')
    await until('the first leads', () => first.election.isLeader())
    const client = createClient({ connection: server.connection(), role: 'test' })
    const spec = { holderIdentity: 'usurper', leaseDurationSeconds: 15 }
    await client.patch(leases, 'default', 'controller', { type: 'merge', body: { spec } })
    await until('the first is told', () => first.told.includes('lost'))
    await first.election.stop()
    assert.equal(server.objects(leases)[0]?.spec?.holderIdentity, 'usurper')
  })

  it('takes over from a leader that vanished, after its duration', async () => {
    await using server = await startFakeApiServer()
    const spec = { holderIdentity: 'dead', leaseDurationSeconds: 1 }
    const metadata = { namespace: 'default', name: 'controller' }
    server.seed(leases, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec })
    const began = performance.now()
    const next = stand(server, 'next')
    await until('the next leads', () => next.election.isLeader())
    assert.ok(performance.now() - began >= 1_000, 'not before the whole duration has passed')
    await next.election.stop()
  })
})
