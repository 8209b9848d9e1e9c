import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from './client.ts'
import { createEventRecorder, events } from './events.ts'
import { configMap } from './testing/config-map.ts'
import { type FakeApiServer, startFakeApiServer } from './testing/fake-api-server.ts'
import { FakeClock } from './testing/fake-clock.ts'
import { silentLog } from './testing/silent-log.ts'

const object = configMap('a')

function record(server: FakeApiServer, options: { queueLimit?: number } = {}) {
  const clock = new FakeClock()
  const client = createClient({ connection: server.connection(), role: 'test' })
  const recorder = createEventRecorder({
    client,
    component: 'podferry-test',
    instance: 'here',
    log: silentLog,
    clock,
    ...options,
  })
  return { clock, client, recorder }
}

describe('event recorder', () => {
  it('writes what kubectl describe looks for', async () => {
    await using server = await startFakeApiServer()
    const { recorder } = record(server)
    recorder.event(object, 'Warning', 'Refused', 'because')
    await recorder.flush()
    const event = server.objects(events)[0]
    assert.equal(event?.metadata.namespace, 'default')
    assert.deepEqual(event?.involvedObject, { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'a' })
    assert.deepEqual([event?.type, event?.reason, event?.message, event?.count], ['Warning', 'Refused', 'because', 1])
    assert.equal(event?.source.component, 'podferry-test')
  })

  it('folds repeats into a count, and a burst of them into one write', async () => {
    await using server = await startFakeApiServer()
    const { recorder, clock } = record(server)
    recorder.event(object, 'Normal', 'Waiting', 'x')
    await recorder.flush()
    await clock.advance(5_000)
    for (let times = 0; times < 50; times++) recorder.event(object, 'Normal', 'Waiting', 'x')
    recorder.event(object, 'Normal', 'Waiting', 'another')
    await recorder.flush()
    assert.deepEqual(
      server.objects(events).map(({ count }) => count),
      [51, 1],
    )
    assert.deepEqual(
      server.requests.map(({ method }) => method),
      ['POST', 'PATCH', 'POST'],
    )
    const [folded] = server.objects(events)
    assert.notEqual(folded?.firstTimestamp, folded?.lastTimestamp)
  })

  it('begins anew after a quiet time and when the event has gone', async () => {
    await using server = await startFakeApiServer()
    const { recorder, clock, client } = record(server)
    recorder.event(object, 'Normal', 'Waiting', 'x')
    await recorder.flush()
    await clock.advance(600_001)
    recorder.event(object, 'Normal', 'Waiting', 'x')
    await recorder.flush()
    assert.deepEqual(
      server.objects(events).map(({ count }) => count),
      [1, 1],
    )
    for (const { metadata } of server.objects(events)) await client.delete(events, 'default', metadata.name)
    recorder.event(object, 'Normal', 'Waiting', 'x')
    await recorder.flush()
    assert.deepEqual(
      server.objects(events).map(({ count }) => count),
      [2],
    )
  })

  it('swallows failures and drops what exceeds its limit', async () => {
    await using server = await startFakeApiServer()
    const { recorder } = record(server, { queueLimit: 2 })
    server.failNext(403, 'Forbidden')
    for (let number = 0; number < 5; number++) recorder.event(object, 'Normal', 'Many', `${number}`)
    await recorder.flush()
    assert.deepEqual(
      server.objects(events).map(({ message }) => message),
      ['1'],
    )
  })
})
