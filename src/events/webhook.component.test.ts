import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import pino from 'pino'
import { until } from '../kube/testing/until.ts'
import { pushCheckpointImage } from '../oci/checkpoint-image.ts'
import { registryMissing, startRegistry } from '../oci/testing/registry.ts'
import type { ImageEvent } from './event.ts'
import { createKubernetesPublisher } from './kubernetes-bus.ts'
import { startWebhook } from './webhook.ts'

const log = pino({ level: 'silent' })

async function* archive() {
  yield Buffer.from(randomUUID())
}

test('a real registry tells of exactly the manifest, again and again until the bus takes it', {
  skip: registryMissing(),
}, async () => {
  const taken: ImageEvent[] = []
  let refusals = 2
  const publisher = createKubernetesPublisher(async (event) => {
    if (refusals-- > 0) throw new Error('the API server is away')
    taken.push(event)
  })
  const webhook = await startWebhook({ publisher, node: 'node-2', token: 'secret', port: 0, log })
  const registry = await startRegistry({ url: `http://127.0.0.1:${webhook.port}/events`, token: 'secret' })
  const name = { namespace: 'default', migrationUID: randomUUID(), container: 'main' }
  const pushed = await pushCheckpointImage({
    registry: { url: registry.url },
    ...name,
    archive: archive(),
    architecture: 'amd64',
  })
  await until('the event is taken', () => taken.length > 0, 10_000)
  assert.deepEqual(
    taken.map(({ at, ...event }) => event),
    [{ ...name, digest: pushed.manifestDigest, node: 'node-2' }],
  )
  await registry.stop()
  await webhook.close()
})
