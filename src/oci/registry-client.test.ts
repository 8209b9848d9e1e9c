import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseChallenge } from './challenge.ts'
import { checkpointConfig } from './checkpoint-image.ts'
import { LAYER_TYPE } from './media-types.ts'
import { RegistryClient } from './registry-client.ts'

test('memory never travels in clear text beyond the loopback', () => {
  assert.throws(
    () => new RegistryClient({ url: 'http://registry.example:5000' }),
    /plain HTTP is allowed on the loopback only/,
  )
  assert.doesNotThrow(() => new RegistryClient({ url: 'http://127.0.0.1:5577' }))
})

test('a registry that is not there is named', async () => {
  await assert.rejects(new RegistryClient({ url: 'http://127.0.0.1:9' }).ping(), {
    reason: 'RegistryUnreachable',
    retry: 'backoff',
  })
})

test('challenges of token services are understood', () => {
  const parsed = parseChallenge(
    'Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull,push"',
  )
  assert.equal(parsed?.scheme, 'bearer')
  assert.deepEqual(Object.fromEntries(parsed.parameters), {
    realm: 'https://auth.example/token',
    service: 'registry',
    scope: 'repository:a:pull,push',
  })
  assert.equal(parseChallenge(undefined), undefined)
})

test('configs of two Migrations never share a digest', () => {
  const layer = { mediaType: LAYER_TYPE, digest: `sha256:${'0'.repeat(64)}`, size: 1 }
  const config = (migrationUID: string) =>
    checkpointConfig({
      namespace: 'default',
      container: 'main',
      migrationUID,
      layer,
      architecture: 'amd64',
      user: '1000',
    })
  assert.notDeepEqual(config('a'), config('b'))
  assert.equal(JSON.parse(config('a').toString()).config.User, '1000')
})
