import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import { CONFIG_MAPS } from '../../agent/peer/config-map.ts'
import { splitPem } from '../../agent/peer/identity.ts'
import { createClient } from '../../kube/client.ts'
import { startFakeApiServer } from '../../kube/testing/fake-api-server.ts'
import { AUTHORITY_LIFE_MS, ensureAuthority, planAuthority, SECRETS } from './authority.ts'

const HOUR = 3600_000
const DAY = 24 * HOUR
const START = new Date('2026-01-01T00:00:00Z')
const after = (ms: number) => new Date(START.getTime() + ms)

const setUp = async () => {
  const server = await startFakeApiServer()
  const client = createClient({ connection: server.connection(), role: 'test' })
  const bundle = () => splitPem(server.objects(CONFIG_MAPS)[0]?.data?.['ca.crt'] ?? '')
  return { server, client, bundle }
}

describe('ensureAuthority', () => {
  it('makes one, publishes it, and finds it again', async () => {
    const { server, client, bundle } = await setUp()
    await using _ = server
    const first = await ensureAuthority(client, START)
    assert.deepEqual(bundle(), [first.current.cert.trim()])
    assert.equal(new X509Certificate(first.current.cert).ca, true)
    assert.deepEqual(await ensureAuthority(client, after(HOUR)), first)
  })

  it('gives two controllers that start at one moment the same authority', async () => {
    const { server, client, bundle } = await setUp()
    await using _ = server
    const attempts = await Promise.allSettled(Array.from({ length: 4 }, () => ensureAuthority(client, START)))
    const made = attempts.flatMap((one) => (one.status === 'fulfilled' ? [one.value.current.cert] : []))
    assert.ok(made.length > 0)
    const { current } = await ensureAuthority(client, START)
    assert.deepEqual(new Set(made), new Set([current.cert]))
    assert.deepEqual(bundle(), [current.cert.trim()])
    assert.equal(server.objects(SECRETS).length, 1)
  })

  it('announces the next one before it signs, and keeps the old one until its last certificate has ended', async () => {
    const { server, client, bundle } = await setUp()
    await using _ = server
    const old = await ensureAuthority(client, START)
    const due = AUTHORITY_LIFE_MS * (2 / 3)
    const announced = await ensureAuthority(client, after(due))
    assert.equal(announced.current.cert, old.current.cert)
    assert.equal(bundle().length, 2)

    const promoted = await ensureAuthority(client, after(due + HOUR))
    assert.equal(promoted.current.cert, announced.next?.cert)
    assert.deepEqual(bundle(), [promoted.current.cert.trim(), old.current.cert.trim()])

    assert.equal((await ensureAuthority(client, after(due + 2 * DAY))).previous?.cert, old.current.cert)
    await ensureAuthority(client, after(due + 3 * DAY))
    assert.deepEqual(bundle(), [promoted.current.cert.trim()])
  })

  it('replaces one that has ended or cannot be read', async () => {
    const { server, client, bundle } = await setUp()
    await using _ = server
    const first = await ensureAuthority(client, START)
    const second = await ensureAuthority(client, after(AUTHORITY_LIFE_MS))
    assert.notEqual(second.current.cert, first.current.cert)
    const secret = server.objects(SECRETS)[0]
    assert.ok(secret)
    await client.replace(SECRETS, { ...secret, data: { 'current.crt': 'bm9uc2Vuc2U=', 'current.key': 'eA==' } })
    const third = await ensureAuthority(client, after(AUTHORITY_LIFE_MS))
    assert.deepEqual(bundle(), [third.current.cert.trim()])
  })
})

describe('planAuthority', () => {
  it('starts with nothing', () => assert.equal(planAuthority(undefined, START), 'makeCurrent'))
})
